// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using VirtTier.Memory.Pagemap;
using VirtTier.Primitives;

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
    private readonly ConcurrentBag<RoundScratch> _free = [];

    public RoundScratch Rent() => _free.TryTake(out RoundScratch? scratch) ? scratch : new RoundScratch(newReader());

    public void Return(RoundScratch scratch) => _free.Add(scratch);
}
