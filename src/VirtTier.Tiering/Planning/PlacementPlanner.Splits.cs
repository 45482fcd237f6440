// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Splitting;

namespace VirtTier.Tiering.Planning;

// Which blocks are placed as a whole, and which page by page.
public sealed partial class PlacementPlanner
{
    /// <summary>Blocks that are split now.</summary>
    public int SplitBlocks => _splits.SplitBlocks;

    /// <summary>Blocks that were split and came back whole by themselves: khugepaged was at work.</summary>
    public long CameBack => _splits.CameBack;

    /// <summary>Blocks that the kernel did not split when it was asked to.</summary>
    internal int UnsplittableBlocks => _splits.RefusedBlocks;

    /// <summary>
    /// Decides, before <see cref="EndRound"/>, which blocks are to be split and which to be joined. What comes of each is to be
    /// told before the round ends (<see cref="TakeSplit"/>, <see cref="TakeJoin"/>, <see cref="TakeRefusal"/>): so a block of
    /// which a few pages are hot is not demoted as a whole first.
    /// </summary>
    /// <param name="residency">One <see cref="Residency"/> a page, read after the last harvest.</param>
    /// <param name="limits">How much may be split.</param>
    /// <param name="plan">Filled with the decision; nothing is split of a domain without fault samples.</param>
    public void PlanSplits(ReadOnlySpan<byte> residency, SplitLimits limits, SplitPlan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        RequireLength(residency.Length, Pages, nameof(residency));
        plan.Clear();
        if (!_samples.IsSampled)
            return;
        Weigh();
        long resident = (Pages - _census.Absent) / PageSizes.BlockPages;
        long fast = residency.Count(Residency.Fast) + residency.Count((byte)(Residency.Fast | Residency.Immovable));
        _splits.Plan(residency, limits, resident, _budgetPages - fast, _moveCost, plan);
    }

    /// <summary>Takes in that a block is split: those of its pages that were sampled go on as hot as it was.</summary>
    public void TakeSplit(int block)
    {
        if (_sizes[block] != MappingSize.Size2M)
            return;
        SetSize(block, MappingSize.Size4K);
        _splits.TakeSplit(block);
    }

    /// <summary>Takes in that a block is joined.</summary>
    public void TakeJoin(int block)
    {
        _splits.TakeJoin(block, asked: true);
        SetSize(block, MappingSize.Size2M);
    }

    /// <summary>Takes in that a block cannot be split or joined: it is left as it is for a long time.</summary>
    /// <param name="block">The block.</param>
    /// <param name="mayPass">Whether the cause may pass: then it is asked for again sooner.</param>
    public void TakeRefusal(int block, bool mayPass) => _splits.TakeRefusal(block, mayPass);
}
