// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Tiering.Splitting;

/// <summary>What a domain gains, in accesses a round, when a block is placed page by page instead of as a whole.</summary>
internal static class SplitGain
{
    /// <summary>Share of a split block's accesses that its dearer TLB misses cost: 512 entries stand where one stood. Measured
    /// by bench/VirtTier.Bench/SplitCostBench.cs: 0 where the TLB has entries for all hot pages, beyond that .05 to .15 of
    /// accesses to pages by chance, up to .5 of a chain of them.</summary>
    public const double TlbShare = 0.05;

    /// <summary>The gain.</summary>
    /// <param name="accesses">Accesses to the block in a round.</param>
    /// <param name="usedPages">Pages of it that get them.</param>
    /// <param name="marginalValue">What a page of DRAM is worth for a round, in accesses.</param>
    /// <returns>Above 0 where it pays. It does not where DRAM is to spare (a marginal value of 0), nor where all
    /// pages are in use.</returns>
    public static double Of(double accesses, double usedPages, double marginalValue)
    {
        double whole = Math.Max(0, accesses - (PageSizes.BlockPages * marginalValue));
        double split = Math.Max(0, accesses - (usedPages * marginalValue));
        return split - whole - (TlbShare * accesses);
    }
}
