// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace VirtTier.Agent.Status;

/// <summary>A domain's curve as people see it: a bar for each step of DRAM, as long as the share of
/// accesses that goes slow.</summary>
internal static class CurveChart
{
    private const int Steps = 16;
    private const int BarWidth = 50;

    public static IRenderable Render(DomainCurve curve)
    {
        Table table = new() { Border = TableBorder.None, ShowHeaders = true };
        table.AddColumn("DRAM", column => column.RightAligned().NoWrap());
        table.AddColumn("slow", column => column.RightAligned().NoWrap());
        table.AddColumn("share of accesses that goes to slow memory", column => column.NoWrap());
        foreach (long bytes in Sizes(curve))
        {
            double slow = curve.SlowShare(bytes);
            table.AddRow(
                new Markup(Status.Sizes.Show(bytes)),
                new Markup(slow.ToString("P1", CultureInfo.InvariantCulture)),
                new Markup($"{Bar(slow)}{Mark(curve, bytes)}"));
        }
        string error = curve.Error is double known
            ? $"of late, predicted shares were off by {known.ToString("P1", CultureInfo.InvariantCulture)} on average"
            : "no prediction came due yet, so its error is not known";
        return new Rows(
            new Markup($"[bold]{curve.Name.EscapeMarkup()}[/]: what more DRAM, or less, would do; {error}"),
            table);
    }

    // Even steps to the end of the domain's memory, and the two sizes that matter.
    private static IEnumerable<long> Sizes(DomainCurve curve)
    {
        long end = curve.Points[^1].DramBytes;
        return Enumerable.Range(0, Steps + 1)
            .Select(step => end / Steps * step / Page * Page)
            .Append(end)
            .Append(Math.Min(end, curve.BudgetBytes))
            .Append(Math.Min(end, curve.FastBytes))
            .Distinct()
            .Order();
    }

    private const long Page = 4096;

    private static string Bar(double share)
    {
        int filled = (int)Math.Round(share * BarWidth);
        return $"[yellow]{new string('█', filled)}[/][grey]{new string('░', BarWidth - filled)}[/]";
    }

    private static string Mark(DomainCurve curve, long bytes)
    {
        long end = curve.Points[^1].DramBytes;
        string[] marks =
        [
            .. bytes == Math.Min(end, curve.BudgetBytes) ? ["budget"] : Array.Empty<string>(),
            .. bytes == Math.Min(end, curve.FastBytes) ? ["now"] : Array.Empty<string>(),
        ];
        return marks.Length > 0 ? $" [bold]{string.Join(", ", marks)}[/]" : "";
    }
}
