// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using VirtTier.Memory;

namespace VirtTier.Agent;

/// <summary>
/// Memory that a domain needs only during a harvest or a round, so that it is not held for each: it would be more
/// than all that is held.
/// </summary>
internal sealed class RoundScratch(ResidencyReader reader)
{
    private byte[] _pages = [];
    private MappingSize[] _sizes = [];
    private int[] _indexes = [];

    public ResidencyReader Reader { get; } = reader;

    /// <summary>Where it lies while nobody uses it.</summary>
    public required ConcurrentBag<RoundScratch> Home { get; init; }

    /// <summary>One byte a page.</summary>
    public Span<byte> Pages(int count) => Grown(ref _pages, count).AsSpan(0, count);

    /// <summary>One mapping size for each 2 MiB.</summary>
    public Memory<MappingSize> Sizes(int count) => Grown(ref _sizes, count).AsMemory(0, count);

    /// <summary>Page indexes.</summary>
    public Memory<int> Indexes(int count) => Grown(ref _indexes, count).AsMemory(0, count);

    private static T[] Grown<T>(ref T[] array, int count)
    {
        if (array.Length < count)
            array = new T[count];
        return array;
    }
}

/// <summary>As many <see cref="RoundScratch"/>es as rounds run at the same time.</summary>
internal sealed class RoundScratchPool(Func<ResidencyReader> newReader)
{
    private volatile ConcurrentBag<RoundScratch> _free = [];

    /// <summary>Of the newest make; to be given back to <see cref="Return"/>.</summary>
    public RoundScratch Rent()
    {
        ConcurrentBag<RoundScratch> free = _free;
        return free.TryTake(out RoundScratch? scratch) ? scratch : new RoundScratch(newReader()) { Home = free };
    }

    /// <summary>Takes one back. What was made before <see cref="Renew"/> is not used again.</summary>
    public void Return(RoundScratch scratch)
    {
        if (scratch.Home == _free)
            scratch.Home.Add(scratch);
    }

    /// <summary>Has each reader made anew: what they know of which memory is which node's no longer holds.</summary>
    public void Renew() => _free = [];
}
