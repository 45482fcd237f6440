// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using VirtTier.Memory.Pagemap;

namespace VirtTier.Agent;

/// <summary>
/// Memory that a domain needs only during a harvest or a round, so that it is not held for each: it would be more
/// than all that is held.
/// </summary>
internal sealed class RoundScratch(ResidencyReader reader)
{
    private byte[] _pages = [];
    private byte[] _nodes = [];

    public ResidencyReader Reader { get; } = reader;

    /// <summary>Where it lies while nobody uses it.</summary>
    public required ConcurrentBag<RoundScratch> Home { get; init; }

    /// <summary>One byte a page.</summary>
    public Span<byte> Pages(int count)
    {
        if (_pages.Length < count)
            _pages = new byte[count];
        return _pages.AsSpan(0, count);
    }

    /// <summary>Another byte a page, for hosts where the tier of a page says less than its node.</summary>
    public Span<byte> Nodes(int count)
    {
        if (_nodes.Length < count)
            _nodes = new byte[count];
        return _nodes.AsSpan(0, count);
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
