// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Budgets;

/// <summary>What one domain asks of the host's DRAM pool, and what DRAM would do for it; all in 4 KiB pages.</summary>
/// <param name="Memory">The domain's memory.</param>
/// <param name="Dram">Its budget; null is <c>auto</c>, a part of what the pool has left.</param>
/// <param name="Min">What <c>auto</c> never goes under.</param>
/// <param name="Max">What <c>auto</c> never goes over; null is all its memory.</param>
/// <param name="Shares">Weight among <c>auto</c> domains, 1 or more.</param>
/// <param name="Curve">What DRAM does for it; null while nothing is known.</param>
/// <param name="Previous">The budget it has now; 0 for one that just started.</param>
public readonly record struct BudgetDemand(
    long Memory, long? Dram = null, long Min = 0, long? Max = null, int Shares = 100, DramCurve? Curve = null, long Previous = 0)
{
    /// <summary>What it gets whatever the others want: its fixed budget, else its minimum; never more than its memory.</summary>
    public long Guaranteed => Math.Min(Memory, Dram ?? Min);

    internal bool IsAuto => Dram is null;

    /// <summary>The most that it can get. A fixed budget is its own maximum.</summary>
    public long Most => Math.Max(Guaranteed, Math.Min(Memory, Dram ?? Max ?? Memory));
}
