// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Net;
using System.Text;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Pictures;

/// <summary>The estimate as one page of HTML that needs nothing else, to be mailed: no script, nothing from elsewhere.</summary>
internal static class EstimatePage
{
    private const int ChartWidth = 220, ChartHeight = 60;

    /// <param name="estimate">The estimate.</param>
    /// <param name="host">The host's name.</param>
    public static string Render(HostEstimate estimate, string host)
    {
        StringBuilder page = new();
        string title = $"DRAM that the VMs on {host} would need";
        page.Append(CultureInfo.InvariantCulture, $$"""
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <title>{{WebUtility.HtmlEncode(title)}}</title>
            <style>
            :root { color-scheme: light dark; }
            body { font: 16px/1.5 sans-serif; margin: 2rem; }
            table { border-collapse: collapse; }
            th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #8888; }
            th:first-child, td:first-child { text-align: left; }
            tfoot { font-weight: bold; }
            svg { display: block; }
            .line { fill: none; stroke: currentColor; stroke-width: 2; }
            .axis { stroke: #888; }
            </style>
            </head>
            <body>
            <main>
            <h1>{{WebUtility.HtmlEncode(title)}}</h1>
            <p>{{estimate.Made.UtcDateTime:yyyy-MM-dd HH:mm}} UTC</p>
            <table>
            <thead>
            <tr><th scope="col">VM</th><th scope="col">memory</th><th scope="col">hot now</th>
            <th scope="col">DRAM for ≤ 1 % slow</th><th scope="col">frees</th>
            <th scope="col">DRAM for ≤ 5 % slow</th><th scope="col">frees</th>
            <th scope="col">error</th><th scope="col">seen</th><th scope="col">slow share by DRAM</th></tr>
            </thead>
            <tbody>

            """);
        foreach (DomainEstimate domain in estimate.Domains)
            Row(page, domain, estimate.NameOf(domain));
        page.Append("</tbody>\n");
        Total(page, estimate);
        page.Append("</table>\n");
        foreach (string note in EstimateText.Notes(estimate))
            page.Append(CultureInfo.InvariantCulture, $"<p>{WebUtility.HtmlEncode(note)}</p>\n");
        return page.Append("</main>\n</body>\n</html>\n").ToString();
    }

    private static void Row(StringBuilder page, DomainEstimate d, string name)
    {
        page.Append("<tr>");
        Cell(page, name);
        Cell(page, Sizes.Show(d.MemoryBytes));
        Cell(page, Sizes.Show(d.HotBytes));
        Need(page, d.OnePercent);
        Need(page, d.FivePercent);
        Cell(page, d.Error is double error ? TextTable.Percent(error) : "-");
        Cell(page, TextTable.Time(d.ObservedSeconds));
        page.Append("<td>").Append(Chart(d)).Append("</td></tr>\n");
    }

    private static void Total(StringBuilder page, HostEstimate estimate)
    {
        DomainEstimate[] known = [.. estimate.Known];
        page.Append("<tfoot><tr>");
        Cell(page, $"{known.Length} of {estimate.Domains.Count} VMs");
        Cell(page, Sizes.Show(known.Sum(d => d.MemoryBytes)));
        Cell(page, Sizes.Show(known.Sum(d => d.HotBytes)));
        Cell(page, Sizes.Show(known.Sum(d => d.OnePercent!.DramBytes)));
        Cell(page, Sizes.Show(known.Sum(d => d.OnePercent!.FreedBytes)));
        Cell(page, Sizes.Show(known.Sum(d => d.FivePercent!.DramBytes)));
        Cell(page, Sizes.Show(known.Sum(d => d.FivePercent!.FreedBytes)));
        page.Append("<td></td><td></td><td></td></tr></tfoot>\n");
    }

    private static void Need(StringBuilder page, DramNeed? need)
    {
        Cell(page, need is null ? "too early" : Sizes.Show(need.DramBytes));
        Cell(page, need is null ? "-" : Sizes.Show(need.FreedBytes));
    }

    private static void Cell(StringBuilder page, string text) =>
        page.Append("<td>").Append(WebUtility.HtmlEncode(text)).Append("</td>");

    private static string Chart(DomainEstimate d)
    {
        if (d.Curve.Count == 0 || d.OnePercent is null || d.FivePercent is null)
            return "-";
        double end = Math.Max(1, d.Curve[^1].DramBytes);
        string points = string.Join(' ', d.Curve.Select(p => string.Create(
            CultureInfo.InvariantCulture, $"{p.DramBytes / end * ChartWidth:0.#},{(1 - p.SlowShare) * ChartHeight:0.#}")));
        string label = $"Share of accesses that go slow, from none to {Sizes.Show(d.Curve[^1].DramBytes)} of DRAM: 5 % at "
            + $"{Sizes.Show(d.FivePercent.DramBytes)}, 1 % at {Sizes.Show(d.OnePercent.DramBytes)}";
        return string.Create(CultureInfo.InvariantCulture, $"""
            <svg width="{ChartWidth}" height="{ChartHeight}" role="img" aria-label="{WebUtility.HtmlEncode(label)}">
            <path class="axis" d="M0 0V{ChartHeight}H{ChartWidth}" fill="none"/>
            <polyline class="line" points="{points}"/></svg>
            """);
    }
}
