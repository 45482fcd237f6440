// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Budgets;

/// <summary>What one domain asks of the host's DRAM pool.</summary>
/// <param name="MemoryPages">The domain's memory in 4 KiB pages.</param>
/// <param name="Dram">Its budget; null is <c>auto</c>, a part of what the pool has left.</param>
/// <param name="Min">What <c>auto</c> never goes under; null is none.</param>
/// <param name="Max">What <c>auto</c> never goes over; null is all its memory.</param>
/// <param name="Shares">Weight among <c>auto</c> domains, 1 or more.</param>
public readonly record struct BudgetRequest(
    long MemoryPages, MemoryAmount? Dram = null, MemoryAmount? Min = null, MemoryAmount? Max = null, int Shares = 100)
{
    /// <summary>What it gets whatever the others want, in pages: its fixed budget, else its minimum.</summary>
    public long GuaranteedPages => (Dram ?? Min)?.ToPages(MemoryPages) ?? 0;

    internal bool IsAuto => Dram is null;

    // A fixed budget is its own maximum.
    internal long MostPages => Math.Max(GuaranteedPages, (Dram ?? Max)?.ToPages(MemoryPages) ?? MemoryPages);
}
