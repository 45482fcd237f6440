// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.Planning;

/// <content>Heat that goes with the guest to another process or host.</content>
public sealed partial class PlacementPlanner
{
    // What is not in use, of which the kernel need not be believed that it belongs in fast memory.
    private const int ColdLevels = 3;

    // Far enough for long runs, near enough that looking ahead stays cheap.
    private const int BlocksAhead = 16;

    /// <summary>The heat of all pages in a few KiB, for the planner of the same guest elsewhere.</summary>
    /// <param name="ranges">The guest frames of the pages, in their order.</param>
    /// <returns>Null if there is nothing to tell.</returns>
    /// <exception cref="ArgumentException">The ranges are of another number of pages.</exception>
    public byte[]? Summarize(IReadOnlyList<HeatRange> ranges)
    {
        ArgumentNullException.ThrowIfNull(ranges);
        if (ranges.Sum(range => (long)range.Pages) != Pages)
            throw new ArgumentException($"The ranges are not of the domain's {Pages} pages.", nameof(ranges));
        return HeatSummary.Pack(ranges, LevelOf);
    }

    /// <summary>Takes over the heat of a run of pages as a summary tells it, before the first round has ended.</summary>
    /// <param name="first">The first page.</param>
    /// <param name="count">Their number.</param>
    /// <param name="level">Their level, below <see cref="HeatSummary.Levels"/>.</param>
    public void Seed(int first, int count, int level)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Pages - first);
        _history.Seed(first, count, level);
    }

    /// <summary>
    /// Decides what of a guest that has heat and does not run yet goes to the slow tier, so that it is within its budget when it
    /// runs: of the blocks that are cold as a whole, the coldest. Nothing is learned.
    /// </summary>
    /// <param name="residency">One <see cref="Residency"/> a page.</param>
    /// <param name="budgetPages">Most fast pages that it may have.</param>
    /// <param name="maxMoves">Most pages to move.</param>
    /// <param name="plan">Filled with demotions, page by page: how the pages are mapped is not known yet.</param>
    public void DemoteBeforeItRuns(ReadOnlySpan<byte> residency, long budgetPages, long maxMoves, MovePlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        RequireLength(residency.Length, Pages, nameof(residency));
        ArgumentOutOfRangeException.ThrowIfNegative(budgetPages);
        plan.Clear();
        plan.BudgetPages = budgetPages;
        plan.HeadroomPages = 0;
        foreach (byte page in residency)
            plan.FastPages += Residency.Tier(page) == Residency.Fast ? 1 : 0;
        if (plan.FastPages <= budgetPages)
            return;
        byte[] levels = new byte[Pages / PageSizes.BlockPages];
        for (int block = 0; block < levels.Length; block++)
        {
            int first = block * PageSizes.BlockPages;
            levels[block] = (byte)LevelOf(first, PageSizes.BlockPages, first + PageSizes.BlockPages).Level;
        }
        for (int level = 0; level < ColdLevels && plan.FastPages - plan.DemotedPages > budgetPages; level++)
        {
            for (int first = 0; first < Pages; first += PageSizes.BlockPages)
            {
                if (levels[first / PageSizes.BlockPages] != level)
                    continue;
                for (int page = first; page < first + PageSizes.BlockPages; page++)
                {
                    if (plan.FastPages - plan.DemotedPages <= budgetPages || plan.DemotedPages >= maxMoves)
                        return;
                    if (residency[page] == Residency.Fast)
                        plan.Demote(new PageRun(page, 1), 0);
                }
            }
        }
    }

    // Of a block that is mapped as one only the first page has heat.
    private (int Level, int Alike) LevelOf(int first, int count, int end)
    {
        int block = first / PageSizes.BlockPages;
        if (count <= PageSizes.BlockPages)
        {
            return _sizes[block] == MappingSize.Size2M
                ? (PageHistory.LevelOf(_history.Heat[block * PageSizes.BlockPages]),
                    Math.Min(end, (block + 1) * PageSizes.BlockPages) - first)
                : _history.LevelOf(first, count, Math.Min(end, EndOfSmall(block)));
        }
        int hottest = 0;
        for (int page = first; page < first + count; page += PageSizes.BlockPages)
            hottest = Math.Max(hottest, LevelOf(page, PageSizes.BlockPages, page + PageSizes.BlockPages).Level);
        return (hottest, count);
    }

    private int EndOfSmall(int block)
    {
        int last = Math.Min(_sizes.Length, block + BlocksAhead);
        for (; block < last && _sizes[block] != MappingSize.Size2M; block++)
        {
        }
        return block * PageSizes.BlockPages;
    }
}
