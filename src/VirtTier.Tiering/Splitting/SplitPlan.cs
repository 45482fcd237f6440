// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace VirtTier.Tiering.Splitting;

/// <summary>What <see cref="Planning.PlacementPlanner.PlanSplits"/> decided: blocks, by their
/// number. Made once and reused.</summary>
public sealed class SplitPlan
{
    private readonly List<int> _splits = [];
    private readonly List<int> _joins = [];

    /// <summary>Blocks to split, those that gain most in front.</summary>
    public ReadOnlySpan<int> Splits => CollectionsMarshal.AsSpan(_splits);

    /// <summary>Blocks to join. Pages that are not on the tier of most of the block come to it.</summary>
    public ReadOnlySpan<int> Joins => CollectionsMarshal.AsSpan(_joins);

    internal void Clear()
    {
        _splits.Clear();
        _joins.Clear();
    }

    internal void Split(int block) => _splits.Add(block);

    internal void Join(int block) => _joins.Add(block);
}
