// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Status;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Splitting;
using VirtTier.Primitives;

namespace VirtTier.Agent.Pictures;

/// <summary>One VM on one screen: where its memory is, how hot it is, what more DRAM would do, what was moved and what could not
/// be, and what happened last.</summary>
internal static class DetailText
{
    private const int MostWidth = 100;
    private const int BarWidth = 20;
    private const int ChartLines = 4;
    private const int ChartLabel = 6;
    private const int ShownEvents = 8;

    // Least heat of the bars of the histogram; some levels each.
    private static readonly double[] s_heats = [0.65, 0.45, 0.25, 0.1, 0.03, 0];

    /// <summary>Everything, within so many columns but for the sentences.</summary>
    public static IEnumerable<string> Render(DomainDetail detail, int width)
    {
        width = Math.Min(width, MostWidth);
        DomainStatus d = detail.Status;
        yield return $"{TextTable.Name(d.Name, int.MaxValue)}: {d.StateName}, mode {d.Mode}, memory {Sizes.Show(d.MemoryBytes)}, "
            + $"budget {Sizes.Show(d.BudgetBytes)}";
        if (d.Reason is not null)
            yield return d.Reason;
        foreach (SettingProblemStatus problem in d.Problems)
            yield return $"{problem.Attribute}=\"{problem.Value}\": {problem.Message}";
        yield return "";
        foreach (string line in Places(detail).Concat(Moves(d)).Concat(MovesOverTime(detail.Moves)))
            yield return line;
        if (detail.Heat.Count > 0)
        {
            yield return "";
            foreach (string line in Heat(detail.Heat))
                yield return line;
        }
        yield return "";
        foreach (string line in detail.Curve is { } curve ? Chart(curve, width) : ["curve: too little is known yet"])
            yield return line;
        if (detail.Events.Count > 0)
        {
            yield return "";
            foreach (DomainEvent happened in detail.Events.TakeLast(ShownEvents))
            {
                yield return string.Create(
                    CultureInfo.InvariantCulture, $"{happened.Time.UtcDateTime:MM-dd HH:mm:ss} {happened.Text}");
            }
        }
    }

    private static IEnumerable<string> Places(DomainDetail detail)
    {
        DomainStatus d = detail.Status;
        yield return $"DRAM     {Bar(d.FastBytes, d.BudgetBytes)} {Sizes.Show(d.FastBytes)} of the budget's "
            + Sizes.Show(d.BudgetBytes);
        yield return $"slow     {Sizes.Show(d.SlowBytes)}";
        yield return $"hot      {Sizes.Show(d.HotBytes)}"
            + (d.HotBytes > 0 ? $", {TextTable.Percent(d.HotFastBytes / (double)d.HotBytes)} of it in DRAM" : "");
        if (d.Home.Count > 0)
            yield return "home     "
                + string.Join(", ", d.Home.Select(
                    on => d.Home.Count == 1 ? $"node {on.Node}" : $"node {on.Node}: {TextTable.Percent(on.Share)}"))
                + $"; {Sizes.Show(d.HotAwayBytes)} of what is hot is on another fast node";
        if (detail.Nodes.Count > 0)
            yield return "nodes    "
                + string.Join(", ", detail.Nodes.Select(node => $"node {node.Node}: {Sizes.Show(node.Bytes)}"))
                + " (before the last round's moves)";
    }

    private static IEnumerable<string> Moves(DomainStatus d)
    {
        yield return $"moved    up {Sizes.Show(d.PromotedPages * PageSizes.PageBytes)}, "
            + $"down {Sizes.Show(d.DemotedPages * PageSizes.PageBytes)}; "
            + $"{TextTable.Percent(d.PingPongShare)} of late undone soon";
        if (d.RehomedPages + d.SunkPages + d.RaisedPages > 0)
            yield return $"within   {Sizes.Show(d.RehomedPages * PageSizes.PageBytes)} between fast nodes; between slow tiers "
                + $"up {Sizes.Show(d.RaisedPages * PageSizes.PageBytes)}, down {Sizes.Show(d.SunkPages * PageSizes.PageBytes)}";
        foreach ((string reason, long pages) in d.Unmoved.OrderByDescending(u => u.Value))
            yield return $"unmoved  {Sizes.Show(pages * PageSizes.PageBytes)}: {Why(reason)}";
        if (d.Splits > 0)
            yield return $"split    {d.SplitBlocks} of its 2 MiB pages; {d.Joins} were joined again, {d.CameBackWhole} by others";
        foreach ((string reason, long blocks) in d.Unsplit.OrderByDescending(u => u.Value))
            yield return $"unsplit  {blocks} of its 2 MiB pages: {WhyWhole(reason)}";
    }

    /// <summary>The last hour's moves, minute by minute; nothing where there were none.</summary>
    private static IEnumerable<string> MovesOverTime(IReadOnlyList<MovedBytes> moves)
    {
        if (moves.FirstOrDefault(m => m.ColumnSeconds == 60) is not { } minutes)
            yield break;
        long most = minutes.UpBytes.TakeLast(60).Concat(minutes.DownBytes.TakeLast(60)).Max();
        if (most == 0)
            yield break;
        DateTime end = minutes.First.UtcDateTime.AddMinutes(minutes.UpBytes.Count);
        yield return string.Create(
            CultureInfo.InvariantCulture, $"moves    minute by minute, the hour to {end:HH:mm} UTC; █ is {Sizes.Show(most)}");
        yield return $"  up     {Columns(minutes.UpBytes)}";
        yield return $"  down   {Columns(minutes.DownBytes)}";

        string Columns(IReadOnlyList<long> bytes) =>
            string.Concat(bytes.TakeLast(60).Select(b => b == 0 ? '·' : Block(b / (double)most)));
    }

    /// <summary>What keeps pages where they are, in words.</summary>
    internal static string Why(string reason) => reason switch
    {
        nameof(MoveOutcome.Busy) => "in use by the kernel at each try so far",
        nameof(MoveOutcome.Shared) => "shared with other processes, and the agent lacks CAP_SYS_NICE to move such pages",
        nameof(MoveOutcome.Absent) => "not there any more: given back by a balloon, or swapped out",
        nameof(MoveOutcome.Pinned) => "pinned, as for a passed-through device; tried again later",
        nameof(MoveOutcome.Contested) => "moved back twice by something else; tried again later",
        nameof(MoveOutcome.TargetFull) => "no room on the node that it was to go to",
        nameof(MoveOutcome.ForbiddenByCpuset) => "a cpuset forbids the node that it was to go to",
        nameof(MoveOutcome.Refused) => "the kernel refused it",
        _ => Shorten.ForMessage(reason),
    };

    /// <summary>What keeps 2 MiB pages from being split, or small ones from being joined, in words.</summary>
    internal static string WhyWhole(string reason) => reason switch
    {
        nameof(SplitOutcome.Gone) => "not there any more",
        nameof(SplitOutcome.Shared) => "another process maps them too",
        nameof(SplitOutcome.Locked) => "locked in memory",
        nameof(SplitOutcome.Hugetlb) => "hugetlb pages, which cannot be split",
        nameof(SplitOutcome.Pinned) => "pinned, or in use at that moment",
        nameof(SplitOutcome.NoRoom) => "no 2 MiB are free in one piece",
        nameof(SplitOutcome.Refused) => "the kernel refused it",
        _ => Shorten.ForMessage(reason),
    };

    private static IEnumerable<string> Heat(IReadOnlyList<HeatBytes> heat)
    {
        long all = Math.Max(1, heat.Sum(h => h.FastBytes + h.SlowBytes));
        List<string[]> rows = [["heat", "DRAM", "slow"]];
        List<long> sums = [0];
        for (int i = 0; i < s_heats.Length; i++)
        {
            double least = s_heats[i], end = i == 0 ? double.MaxValue : s_heats[i - 1];
            string label = string.Create(CultureInfo.InvariantCulture, $"{least * 100:0} to {Math.Min(1, end) * 100:0} %");
            Add(label, [.. heat.Where(h => h.LeastHeat >= least && h.LeastHeat < end)]);
        }
        Add("never", [.. heat.Where(h => h.LeastHeat is null)]);
        return TextTable.Align(rows).Select((line, i) => i == 0
            ? line + "   (share of harvests that find a page accessed)"
            : $"{line}   {new string('█', (int)Math.Ceiling(BarWidth * sums[i] / (double)all))}".TrimEnd());

        void Add(string label, HeatBytes[] part)
        {
            long fast = part.Sum(h => h.FastBytes), slow = part.Sum(h => h.SlowBytes);
            rows.Add([label, Sizes.Show(fast), Sizes.Show(slow)]);
            sums.Add(fast + slow);
        }
    }

    /// <summary>The share of accesses that goes slow, upwards, for DRAM to the right; with a line at the budget.</summary>
    private static IEnumerable<string> Chart(DomainCurve curve, int width)
    {
        long end = Math.Max(1, curve.Points[^1].DramBytes);
        int columns = Math.Max(10, width - ChartLabel - 1);
        int budget = (int)Math.Min(columns - 1, curve.BudgetBytes * (double)columns / end);
        yield return "share of accesses that goes slow, by DRAM; predictions were off by "
            + (curve.Error is double error ? TextTable.Percent(error) : "an unknown share, none came due yet");
        for (int line = ChartLines - 1; line >= 0; line--)
        {
            string label = line == ChartLines - 1 ? "100 %" : line == 0 ? "0 %" : "";
            char[] cells = [.. Enumerable.Range(0, columns).Select(column =>
                Block((curve.SlowShare((long)(column * (double)end / columns)) * ChartLines) - line))];
            if (cells[budget] == ' ')
                cells[budget] = '│';
            yield return $"{label.PadLeft(ChartLabel)} {new string(cells)}".TrimEnd();
        }
        string mark = $"budget {Sizes.Show(curve.BudgetBytes)}: {TextTable.Percent(curve.SlowShare(curve.BudgetBytes))} slow";
        int at = ChartLabel + 1 + budget;
        yield return at + mark.Length + 2 <= width ? $"{new string(' ', at)}^ {mark}" : $"{mark} ^".PadLeft(at + 1);
    }

    private static char Block(double filled) => filled <= 0 ? ' ' : "▁▂▃▄▅▆▇█"[(int)Math.Min(7, filled * 8)];

    private static string Bar(long bytes, long of)
    {
        int filled = of > 0 ? (int)Math.Clamp(Math.Round(BarWidth * bytes / (double)of), 0, BarWidth) : 0;
        return new string('█', filled) + new string('░', BarWidth - filled);
    }
}
