// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Budgets;

/// <summary>What one domain asks of the pool, and what DRAM would do for it.</summary>
/// <param name="Request">What it asks for.</param>
/// <param name="Curve">What DRAM does for it; null while nothing is known.</param>
/// <param name="PreviousPages">The budget it has now; 0 for one that just started.</param>
public readonly record struct BudgetDemand(BudgetRequest Request, DramCurve? Curve, long PreviousPages);
