// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;
using VirtTier.Tiering.Budgets;

namespace VirtTier.Agent;

/// <summary>A domain's settings in the terms of <see cref="PoolDivider"/>.</summary>
internal static class BudgetDemands
{
    /// <summary>What a domain asks of the pool.</summary>
    /// <param name="settings">Its settings, defaults filled in.</param>
    /// <param name="memoryBytes">Its memory.</param>
    /// <param name="usableBytes">As much of it as its shares are of.</param>
    public static BudgetDemand Of(TieringSettings settings, ulong memoryBytes, ulong usableBytes) => new(
        Memory: (long)memoryBytes / PageSizes.PageBytes,
        Dram: Pages(settings.Dram, usableBytes),
        Min: Pages(settings.Min, usableBytes) ?? 0,
        Max: Pages(settings.Max, usableBytes),
        Shares: settings.Shares ?? TieringSettings.DefaultShares);

    private static long? Pages(SizeSpec size, ulong usableBytes) =>
        size.Resolve(usableBytes) is ulong bytes ? (long)bytes / PageSizes.PageBytes : null;
}
