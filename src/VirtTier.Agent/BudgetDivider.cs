// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;
using VirtTier.Tiering.Budgets;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent;

/// <summary>Divides the host's pool among the domains as their settings ask, and as their pages are used.</summary>
internal static class BudgetDivider
{
    /// <summary>What a domain asks of the pool.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="settings">Its settings, defaults filled in.</param>
    /// <param name="curve">What DRAM does for it; null while nothing is known.</param>
    /// <param name="previousPages">The budget that it has now; 0 for none.</param>
    public static BudgetDemand Demand(RunningDomain domain, TieringSettings settings, DramCurve? curve, long previousPages) => new(
        new BudgetRequest(
            MemoryPages: (long)domain.MemoryBytes / PageSizes.PageBytes,
            Dram: Amount(settings.Dram, domain),
            Min: Amount(settings.Min, domain),
            Max: Amount(settings.Max, domain),
            Shares: settings.Shares ?? TieringSettings.DefaultShares),
        curve,
        previousPages);

    /// <summary>The budget of each domain, in pages.</summary>
    /// <param name="demands">What each asks for.</param>
    /// <param name="poolBytes">The pool.</param>
    /// <param name="enough">False when fixed budgets and minima exceed the pool, so that each got its fraction only.</param>
    public static long[] Divide(ReadOnlySpan<BudgetDemand> demands, long poolBytes, out bool enough)
    {
        long[] budgets = new long[demands.Length];
        enough = AutoBudget.Divide(demands, poolBytes / PageSizes.PageBytes, budgets);
        return budgets;
    }

    private static MemoryAmount? Amount(SizeSpec size, RunningDomain domain) =>
        size.Resolve(domain.MemoryBytes) is ulong bytes ? MemoryAmount.FromBytes((long)bytes) : null;
}
