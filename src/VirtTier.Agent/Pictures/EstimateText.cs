// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Pictures;

/// <summary>The estimate as people read it: a line a VM, a total, and what the figures mean.</summary>
internal static class EstimateText
{
    // The other columns with sizes such as 1.5 GiB.
    private const int OtherColumns = 72;
    private const int LeastName = 8;

    private static readonly string[] s_over = ["", "", "", "≤ 1 % slow", "", "≤ 5 % slow", "", "", ""];
    private static readonly string[] s_heads = ["VM", "memory", "hot now", "DRAM", "frees", "DRAM", "frees", "error", "seen"];

    /// <summary>Everything, within so many columns where names allow it.</summary>
    public static IEnumerable<string> Render(HostEstimate estimate, int width)
    {
        List<string[]> rows = [s_over, s_heads];
        rows.AddRange(estimate.Domains.Select(
            domain => Row(domain, estimate.NameOf(domain), Math.Max(LeastName, width - OtherColumns))));
        if (estimate.Known.Skip(1).Any())
            rows.Add(Total(estimate));
        if (estimate.Domains.Count == 0)
            return ["no VM runs, so nothing can be estimated"];
        return [.. TextTable.Align(rows), .. Notes(estimate)];
    }

    /// <summary>What the figures mean, a sentence a line.</summary>
    public static IEnumerable<string> Notes(HostEstimate estimate)
    {
        foreach (DomainEstimate domain in estimate.Domains.Where(d => d.OnePercent is null))
        {
            yield return $"{estimate.NameOf(domain)}: too early: seen for "
                + $"{TextTable.Time(domain.ObservedSeconds)}, "
                + $"{TextTable.Time(domain.EnoughSeconds)} are enough for a first figure"
                + (domain.Reason is null ? "" : $" ({domain.Reason})");
        }
        if (estimate.Known.Any())
        {
            yield return "DRAM keeps at most that share of accesses on slow memory; it frees the rest.";
            yield return "error: of predicted shares, on average. seen: for how long; give it a night.";
        }
        if (estimate.DramCost is { } cost && estimate.Known.Any())
        {
            long one = estimate.Known.Sum(d => d.OnePercent!.FreedBytes);
            long five = estimate.Known.Sum(d => d.FivePercent!.FreedBytes);
            yield return $"At {cost.PerGib.ToString("0.00", CultureInfo.InvariantCulture)} {cost.Currency}".TrimEnd()
                + $" a GiB (costs.dram_per_gib) this frees {cost.Show(one)} (≤ 1 %), {cost.Show(five)} (≤ 5 %).";
        }
        if (!estimate.HasSlowTier)
            yield return "This host has one memory tier: " + (estimate.Rehomes
                ? "hot pages follow their VMs between sockets, nothing else is moved."
                : "nothing is moved, VMs are only watched.");
    }

    private static string[] Row(DomainEstimate d, string name, int nameWidth) =>
    [
        TextTable.Name(name, nameWidth),
        Sizes.Show(d.MemoryBytes),
        Sizes.Show(d.HotBytes),
        .. Need(d.OnePercent),
        .. Need(d.FivePercent),
        d.Error is double error ? TextTable.Percent(error) : "-",
        TextTable.Time(d.ObservedSeconds),
    ];

    private static string[] Need(DramNeed? need) =>
        need is null ? ["too early", "-"] : [Sizes.Show(need.DramBytes), Sizes.Show(need.FreedBytes)];

    private static string[] Total(HostEstimate estimate)
    {
        DomainEstimate[] known = [.. estimate.Known];
        return
        [
            known.Length == estimate.Domains.Count ? "all" : $"{known.Length} of {estimate.Domains.Count}",
            Sizes.Show(known.Sum(d => d.MemoryBytes)),
            Sizes.Show(known.Sum(d => d.HotBytes)),
            Sizes.Show(known.Sum(d => d.OnePercent!.DramBytes)),
            Sizes.Show(known.Sum(d => d.OnePercent!.FreedBytes)),
            Sizes.Show(known.Sum(d => d.FivePercent!.DramBytes)),
            Sizes.Show(known.Sum(d => d.FivePercent!.FreedBytes)),
            "",
            "",
        ];
    }
}
