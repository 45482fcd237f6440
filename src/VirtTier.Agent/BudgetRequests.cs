// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;
using VirtTier.Tiering.Budgets;

namespace VirtTier.Agent;

/// <summary>A domain's settings in the terms of <see cref="PoolDivider"/>.</summary>
internal static class BudgetRequests
{
    /// <summary>What a domain asks of the pool.</summary>
    /// <param name="settings">Its settings, defaults filled in.</param>
    /// <param name="memoryBytes">Its memory.</param>
    public static BudgetRequest Of(TieringSettings settings, ulong memoryBytes) => new(
        MemoryPages: (long)memoryBytes / PageSizes.PageBytes,
        Dram: Amount(settings.Dram, memoryBytes),
        Min: Amount(settings.Min, memoryBytes),
        Max: Amount(settings.Max, memoryBytes),
        Shares: settings.Shares ?? TieringSettings.DefaultShares);

    private static MemoryAmount? Amount(SizeSpec size, ulong memoryBytes) =>
        size.Resolve(memoryBytes) is ulong bytes ? MemoryAmount.FromBytes((long)bytes) : null;
}
