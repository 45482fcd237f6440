// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Memory.Layout;

/// <summary>
/// A guest's memory as a flat space of page indexes, 0 to <see cref="PageCount"/> - 1, for arrays with one element a page.
/// </summary>
/// <remarks>
/// <para>Guest frames keep their order. Each range starts and ends at a multiple of 512 frames and of 512 indexes, so a 2 MiB
/// mapping is one run of indexes and bitmaps of different ranges share no word; holes between ranges (the PCI hole) cost
/// nothing.</para>
/// <para>A page within a range may have no memory behind it (<see cref="HvaOf"/> is 0): a gap smaller than 2 MiB, or the
/// second appearance of memory that another slot already covers (PC firmware shows parts of RAM and ROM twice), which is
/// counted once, at its lowest frame.</para>
/// <para>Left out are ranges with less than 2 MiB of memory behind them: firmware ROMs and KVM's own pages below 4 GiB, where
/// there is nothing to gain. Larger device memory, such as a video card's, is included: QEMU backs it with ordinary pages.</para>
/// </remarks>
public sealed class GuestLayout
{
    private readonly GfnRange[] _gfnRanges;
    private readonly BackedRange[] _backed;

    private GuestLayout(GfnRange[] gfnRanges, BackedRange[] backed)
    {
        _gfnRanges = gfnRanges;
        _backed = backed;
        PageCount = gfnRanges.Length == 0 ? 0 : gfnRanges[^1].EndIndex;
        BackedPageCount = backed.Sum(r => r.PageCount);
    }

    /// <summary>Page indexes in use: a multiple of 512.</summary>
    public int PageCount { get; }

    /// <summary>Pages with memory behind them.</summary>
    internal int BackedPageCount { get; }

    /// <summary>The ranges of guest frames, in order of frame and of index.</summary>
    public IReadOnlyList<GfnRange> GfnRanges => _gfnRanges;

    /// <summary>The runs of pages with memory behind them, in order of index.</summary>
    public IReadOnlyList<BackedRange> Backed => _backed;

    /// <summary>Makes the layout of a guest with these memslots, given in any order.</summary>
    /// <exception cref="GuestMemoryException">More than 8 TiB, the most that an index can count.</exception>
    public static GuestLayout FromMemslots(IEnumerable<Memslot> memslots)
    {
        var builder = new GuestLayoutBuilder();
        foreach (Memslot slot in memslots.OrderBy(s => s.Gpa).ThenBy(s => s.Hva))
            builder.Add(slot);
        (GfnRange[] gfnRanges, BackedRange[] backed) = builder.Build();
        return new GuestLayout(gfnRanges, backed);
    }

    /// <summary>The page index of a guest frame, or -1 if it is in none of them.</summary>
    public int IndexOf(ulong gfn)
    {
        int low = 0;
        int high = _gfnRanges.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            GfnRange range = _gfnRanges[middle];
            if (gfn < range.FirstGfn)
                high = middle - 1;
            else if (gfn >= range.EndGfn)
                low = middle + 1;
            else
                return range.FirstIndex + (int)(gfn - range.FirstGfn);
        }

        return -1;
    }

    /// <summary>The guest frame number of a page index.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The index is not in the layout.</exception>
    public ulong GfnOf(int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, PageCount);
        int low = 0;
        int high = _gfnRanges.Length - 1;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (index < _gfnRanges[middle].EndIndex)
                high = middle;
            else
                low = middle + 1;
        }

        return _gfnRanges[low].FirstGfn + (ulong)(index - _gfnRanges[low].FirstIndex);
    }

    /// <summary>Where a page lies in the process that runs the guest, or 0 if there is no memory behind it.</summary>
    public ulong HvaOf(int index)
    {
        BackedRange range = BackedAt(index);
        return range.Contains(index) ? range.HvaOf(index) : 0;
    }

    /// <summary>The run of <see cref="Backed"/> that a page index is in; one without pages if there
    /// is no memory behind it.</summary>
    internal BackedRange BackedAt(int index)
    {
        int low = 0;
        int high = _backed.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            BackedRange range = _backed[middle];
            if (index < range.FirstIndex)
                high = middle - 1;
            else if (index >= range.EndIndex)
                low = middle + 1;
            else
                return range;
        }

        return default;
    }

    /// <summary>The runs of blocks that are at the same frames in both, with the same memory behind
    /// their first page: first index in
    /// <paramref name="earlier"/>, first index here, and length in pages.</summary>
    public IEnumerable<(int From, int To, int Pages)> KeptFrom(GuestLayout earlier)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        (int From, int To, int Pages) run = default;
        foreach (GfnRange range in _gfnRanges)
        {
            for (int offset = 0; offset < range.PageCount; offset += PageSizes.BlockPages)
            {
                int to = range.FirstIndex + offset;
                int from = earlier.IndexOf(range.FirstGfn + (ulong)offset);
                if (from < 0 || earlier.HvaOf(from) != HvaOf(to))
                    continue;
                if (run.Pages > 0 && run.From + run.Pages == from && run.To + run.Pages == to)
                {
                    run.Pages += PageSizes.BlockPages;
                    continue;
                }
                if (run.Pages > 0)
                    yield return run;
                run = (from, to, PageSizes.BlockPages);
            }
        }
        if (run.Pages > 0)
            yield return run;
    }

    /// <summary>True if both have the same frames at the same indexes with the same memory behind them.</summary>
    internal bool Same(GuestLayout other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return _gfnRanges.AsSpan().SequenceEqual(other._gfnRanges) && _backed.AsSpan().SequenceEqual(other._backed);
    }
}
