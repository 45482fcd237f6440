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

    public ResidencyReader Reader { get; } = reader;

    /// <summary>One byte a page.</summary>
    public Span<byte> Pages(int count)
    {
        if (_pages.Length < count)
            _pages = new byte[count];
        return _pages.AsSpan(0, count);
    }
}

/// <summary>As many <see cref="RoundScratch"/>es as rounds run at the same time.</summary>
internal sealed class RoundScratchPool(Func<ResidencyReader> newReader)
{
    private readonly ConcurrentBag<RoundScratch> _free = [];

    public RoundScratch Rent() => _free.TryTake(out RoundScratch? scratch) ? scratch : new RoundScratch(newReader());

    public void Return(RoundScratch scratch) => _free.Add(scratch);
}
