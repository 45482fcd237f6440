// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory;

/// <summary>
/// A guest's memory as a flat space of page indexes, 0 to <see cref="PageCount"/> - 1, for arrays with one element a page.
/// </summary>
/// <remarks>
/// <para>Guest frames keep their order. Each region starts and ends at a multiple of 512 frames and of 512 indexes, so a 2 MiB
/// mapping is one run of indexes and bitmaps of different regions share no word; holes between regions (the PCI hole) cost
/// nothing.</para>
/// <para>A page within a region may have no memory behind it (<see cref="HvaOf"/> is 0): a gap smaller than 2 MiB, or the
/// second appearance of memory that another slot already covers (PC firmware shows parts of RAM and ROM twice), which is
/// counted once, at its lowest frame.</para>
/// <para>Left out are regions with less than 2 MiB of memory behind them: firmware ROMs and KVM's own pages below 4 GiB, where
/// there is nothing to gain. Larger device memory, such as a video card's, is included: QEMU backs it with ordinary pages.</para>
/// </remarks>
public sealed class GuestLayout
{
    /// <summary>Bytes in a page, the unit of account.</summary>
    public const int PageSize = 4096;

    /// <summary>Pages in 2 MiB, the unit of regions and of large mappings.</summary>
    public const int PagesPerUnit = 512;

    private readonly GuestRegion[] _regions;
    private readonly BackedRange[] _backed;

    private GuestLayout(GuestRegion[] regions, BackedRange[] backed)
    {
        _regions = regions;
        _backed = backed;
        PageCount = regions.Length == 0 ? 0 : regions[^1].EndIndex;
        BackedPageCount = backed.Sum(r => r.PageCount);
    }

    /// <summary>Page indexes in use: a multiple of 512.</summary>
    public int PageCount { get; }

    /// <summary>Pages with memory behind them.</summary>
    public int BackedPageCount { get; }

    /// <summary>The regions, in order of frame and of index.</summary>
    public IReadOnlyList<GuestRegion> Regions => _regions;

    /// <summary>The runs of pages with memory behind them, in order of index.</summary>
    public IReadOnlyList<BackedRange> Backed => _backed;

    /// <summary>Makes the layout of a guest with these memslots, given in any order.</summary>
    /// <exception cref="GuestMemoryException">More than 8 TiB, the most that an index can count.</exception>
    public static GuestLayout FromMemslots(IEnumerable<Memslot> memslots)
    {
        var builder = new GuestLayoutBuilder();
        foreach (Memslot slot in memslots.OrderBy(s => s.Gpa).ThenBy(s => s.Hva))
            builder.Add(slot);
        (GuestRegion[] regions, BackedRange[] backed) = builder.Build();
        return new GuestLayout(regions, backed);
    }

    /// <summary>The page index of a guest frame, or -1 if it is in no region.</summary>
    public int IndexOf(ulong gfn)
    {
        int low = 0;
        int high = _regions.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            GuestRegion region = _regions[middle];
            if (gfn < region.FirstGfn)
                high = middle - 1;
            else if (gfn >= region.EndGfn)
                low = middle + 1;
            else
                return region.FirstIndex + (int)(gfn - region.FirstGfn);
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
        int high = _regions.Length - 1;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (index < _regions[middle].EndIndex)
                high = middle;
            else
                low = middle + 1;
        }

        return _regions[low].FirstGfn + (ulong)(index - _regions[low].FirstIndex);
    }

    /// <summary>Where a page lies in the process that runs the guest, or 0 if there is no memory behind it.</summary>
    public ulong HvaOf(int index)
    {
        BackedRange range = BackedAt(index);
        return range.Contains(index) ? range.HvaOf(index) : 0;
    }

    /// <summary>The run of <see cref="Backed"/> that a page index is in; one without pages if there is no memory behind it.</summary>
    public BackedRange BackedAt(int index)
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

    /// <summary>The runs of 2 MiB units that are at the same frames in both, with the same memory behind their first page: first index in
    /// <paramref name="earlier"/>, first index here, and length in pages.</summary>
    public IEnumerable<(int From, int To, int Pages)> KeptFrom(GuestLayout earlier)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        (int From, int To, int Pages) run = default;
        foreach (GuestRegion region in _regions)
        {
            for (int offset = 0; offset < region.PageCount; offset += PagesPerUnit)
            {
                int to = region.FirstIndex + offset;
                int from = earlier.IndexOf(region.FirstGfn + (ulong)offset);
                if (from < 0 || earlier.HvaOf(from) != HvaOf(to))
                    continue;
                if (run.Pages > 0 && run.From + run.Pages == from && run.To + run.Pages == to)
                {
                    run.Pages += PagesPerUnit;
                    continue;
                }
                if (run.Pages > 0)
                    yield return run;
                run = (from, to, PagesPerUnit);
            }
        }
        if (run.Pages > 0)
            yield return run;
    }

    /// <summary>True if both have the same frames at the same indexes with the same memory behind them.</summary>
    public bool Same(GuestLayout other)
    {
        ArgumentNullException.ThrowIfNull(other);
        return _regions.AsSpan().SequenceEqual(other._regions) && _backed.AsSpan().SequenceEqual(other._backed);
    }
}
