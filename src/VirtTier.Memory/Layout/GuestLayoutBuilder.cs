// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Memory.Layout;

/// <summary>Collects memslots, in order of their address, into the ranges of guest frames of a
/// <see cref="GuestLayout"/>.</summary>
internal sealed class GuestLayoutBuilder
{
    private const ulong Block = PageSizes.BlockPages;

    // As many as a processor can address.
    private const ulong MostPages = 1UL << 40;

    // Runs of frames with memory behind them, in order of frame; no two overlap in frames or in memory.
    private readonly List<(ulong FirstGfn, ulong PageCount, ulong Hva)> _runs = [];

    // The same memory by its address: KVM allows 32,764 slots, too many to compare each with each.
    private readonly SortedSet<(ulong Start, ulong End)> _covered = [];

    /// <summary>Adds what no earlier slot covers, be it the same frames or the same memory.</summary>
    public void Add(Memslot slot)
    {
        if (slot.PageCount > MostPages || slot.FirstGfn > MostPages
            || slot.Hva > ulong.MaxValue - (slot.PageCount * PageSizes.PageBytes))
            throw new GuestMemoryException(
                GuestMemoryError.Failed, $"the kernel module names memory that no guest can have: {slot.PageCount} pages "
                    + $"at 0x{slot.Gpa:x}, which are QEMU's at 0x{slot.Hva:x}");
        ulong nextGfn = _runs.Count == 0 ? 0 : _runs[^1].FirstGfn + _runs[^1].PageCount;
        ulong skip = nextGfn > slot.FirstGfn ? nextGfn - slot.FirstGfn : 0;
        if (skip >= slot.PageCount)
            return;

        ulong gfn = slot.FirstGfn + skip;
        ulong start = slot.Hva + (skip * PageSizes.PageBytes);
        ulong end = slot.Hva + (slot.PageCount * PageSizes.PageBytes);
        (ulong Start, ulong End)[] earlier = Covered(start, end);
        foreach ((ulong coveredStart, ulong coveredEnd) in earlier)
        {
            AddRun(ref gfn, ref start, Math.Max(start, coveredStart));
            gfn += (Math.Min(end, coveredEnd) - start) / PageSizes.PageBytes;
            start = Math.Min(end, coveredEnd);
        }

        AddRun(ref gfn, ref start, end);
    }

    public (GfnRange[] Ranges, BackedRange[] Backed) Build()
    {
        var ranges = new List<GfnRange>();
        var backed = new List<BackedRange>();
        for (int first = 0, next; first < _runs.Count; first = next)
        {
            // Runs that share a block belong together.
            ulong start = RoundDown(_runs[first].FirstGfn);
            ulong end = start;
            ulong pages = 0;
            for (next = first; next < _runs.Count && (next == first || _runs[next].FirstGfn < end); next++)
            {
                end = RoundUp(_runs[next].FirstGfn + _runs[next].PageCount);
                pages += _runs[next].PageCount;
            }

            if (pages < Block)
                continue;
            int index = Extend(ranges, start, end - start);
            for (int run = first; run < next; run++)
                backed.Add(new BackedRange(index + (int)(_runs[run].FirstGfn - start),
                    (int)_runs[run].PageCount, _runs[run].Hva));
        }

        return ([.. ranges], [.. backed]);
    }

    /// <summary>Adds frames to the ranges, and returns the page index of the first.</summary>
    private static int Extend(List<GfnRange> ranges, ulong start, ulong count)
    {
        int index = ranges.Count == 0 ? 0 : ranges[^1].EndIndex;
        if (count > (ulong)(int.MaxValue / PageSizes.BlockPages * PageSizes.BlockPages - index))
            throw new GuestMemoryException(
                GuestMemoryError.Unsupported, "the guest has more than 8 TiB of memory, the most that is supported");
        if (ranges.Count > 0 && ranges[^1].EndGfn == start)
            ranges[^1] = ranges[^1] with { PageCount = ranges[^1].PageCount + (int)count };
        else
            ranges.Add(new GfnRange(start, index, (int)count));
        return index;
    }

    /// <summary>Adds the memory [start, end), and steps over it.</summary>
    private void AddRun(ref ulong gfn, ref ulong start, ulong end)
    {
        if (end <= start)
            return;
        ulong pages = (end - start) / PageSizes.PageBytes;
        _runs.Add((gfn, pages, start));
        _covered.Add((start, end));
        gfn += pages;
        start = end;
    }

    /// <summary>The covered memory that [start, end) meets, in order. As no two overlap, only one can begin before it.</summary>
    private (ulong Start, ulong End)[] Covered(ulong start, ulong end)
    {
        SortedSet<(ulong Start, ulong End)> before = _covered.GetViewBetween((0, 0), (start, ulong.MaxValue));
        (ulong Start, ulong End) last = before.Max;
        IEnumerable<(ulong Start, ulong End)> within = _covered.GetViewBetween((start, 0), (end, 0));
        return last.End > start && last.Start < start ? [last, .. within] : [.. within];
    }

    private static ulong RoundDown(ulong gfn) => gfn / Block * Block;

    private static ulong RoundUp(ulong gfn) => (gfn + Block - 1) / Block * Block;
}
