// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;
using VirtTier.Memory.Splitting;

namespace VirtTier.Agent.Status;

/// <summary>The status as people read it: a line of tiers, a line a domain, and what needs a person.</summary>
internal static class StatusTable
{
    private const int BarWidth = 12;

    // A pipe or a log has no width of its own; this one fits every line of the table.
    private const int WidthWithoutTerminal = 160;

    /// <summary>Makes room for the table where the output is not a terminal, and leaves out its colours there.</summary>
    public static void FitOutput()
    {
        if (!Console.IsOutputRedirected)
            return;
        AnsiConsole.Profile.Width = WidthWithoutTerminal;
        AnsiConsole.Profile.Capabilities.Ansi = false;
        AnsiConsole.Profile.Capabilities.ColorSystem = ColorSystem.NoColors;
    }

    /// <summary>Writes it once. No complaint is broken into lines, so that a command in it can be copied whole.</summary>
    public static void WriteTo(IAnsiConsole console, AgentStatus status)
    {
        console.Write(new Rows(HostLine(status), Domains(status.Domains)));
        console.Profile.Width = int.MaxValue;
        console.Markup(string.Concat(Complaints(status).Select(line => line + "\n")));
    }

    /// <summary>Everything, as it fits the screen.</summary>
    public static IRenderable Render(AgentStatus status)
    {
        List<IRenderable> parts = [HostLine(status), Domains(status.Domains)];
        parts.AddRange(Complaints(status).Select(line => new Markup(line)));
        return new Rows(parts);
    }

    private static Markup HostLine(AgentStatus status) => new(string.Join(
        "   ", status.Tiers.Select(Tier).Concat(Source(status.Libvirt))
            .Concat(status.Sources.Select(source => $"[bold]{source.Name}[/]"))));

    // Node by node where there are several: one may be full while another is not.
    private static string Tier(TierStatus tier) => $"[bold]{tier.Name}[/] " + (tier.ByNode.Count > 1
        ? string.Join(", ", tier.ByNode.Select(node => Used(node.Node.ToString(CultureInfo.InvariantCulture), node.TotalBytes,
            node.FreeBytes)))
        : Used(string.Join(',', tier.Nodes), tier.TotalBytes, tier.FreeBytes));

    private static string Used(string nodes, long totalBytes, long freeBytes) =>
        $"node {nodes}: {Sizes.Show(totalBytes - freeBytes)} of {Sizes.Show(totalBytes)} used";

    private static IEnumerable<string> Source(LibvirtStatus libvirt) => libvirt.Source switch
    {
        "dbus" => ["[bold]libvirt[/] over D-Bus"],
        "files" => ["[bold]libvirt[/] by its files"],
        _ => [],
    };

    private static Table Domains(IReadOnlyList<DomainStatus> domains)
    {
        Table table = new() { Border = TableBorder.Rounded };
        table.AddColumns("VM", "state");
        foreach (string header in (string[])["memory", "budget", "DRAM now", "", "slow now", "hot found",
            "hot in DRAM", "moved up/down"])
            table.AddColumn(header, column => column.RightAligned().NoWrap());
        foreach (DomainStatus domain in domains)
            table.AddRow(Row(domain, domains));
        if (domains.Count == 0)
            table.Caption("no domain is running");
        return table;
    }

    private static Markup[] Row(DomainStatus d, IReadOnlyList<DomainStatus> all) =>
    [
        new(Name(d, all)),
        new(State(d)),
        new(Sizes.Show(d.MemoryBytes)),
        new(d.State == TieringState.Off ? "-" : Sizes.Show(d.BudgetBytes)),
        new(Sizes.Show(d.FastBytes)),
        new(Bar(d)),
        new(Sizes.Show(d.SlowBytes)),
        new(Sizes.Show(d.HotBytes)),
        new(d.HotBytes > 0 ? (d.HotFastBytes / (double)d.HotBytes).ToString("P1", CultureInfo.InvariantCulture) : "-"),
        new($"{Sizes.Show(d.PromotedPages * 4096)} / {Sizes.Show(d.DemotedPages * 4096)}"),
    ];

    private static string State(DomainStatus d)
    {
        string colour = d.StateName switch
        {
            "tiering" or "following" => "green",
            "observing" => "blue",
            "waiting" => "red",
            "paused" or "off" => "grey",
            _ => "yellow",
        };
        return $"[{colour}]{d.StateName}[/]";
    }

    /// <summary>How full the budget is; red past its end.</summary>
    private static string Bar(DomainStatus d)
    {
        if (d.BudgetBytes <= 0)
            return "";
        double full = d.FastBytes / (double)d.BudgetBytes;
        int filled = (int)Math.Clamp(Math.Round(full * BarWidth), 0, BarWidth);
        string colour = full > 1 && d.StateName is not ("observing" or "following") ? "red" : "green";
        return $"[{colour}]{new string('█', filled)}[/][grey]{new string('░', BarWidth - filled)}[/]";
    }

    private static string Name(DomainStatus d, IReadOnlyList<DomainStatus> all) => all.Shown(d).EscapeMarkup();

    private static IEnumerable<string> Complaints(AgentStatus status)
    {
        if (!status.Libvirt.Connected)
            yield return $"[red]libvirt:[/] {status.Libvirt.Problem.EscapeMarkup()}";
        foreach (SourceStatus source in status.Sources.Where(source => !source.Connected))
            yield return $"[red]{source.Name}:[/] {source.Problem.EscapeMarkup()}";
        foreach (string does in status.Hung)
            yield return $"[red]the agent hangs:[/] {does.EscapeMarkup()}; systemd restarts it unless it goes on";
        foreach (DomainStatus d in status.Domains)
        {
            if (d.Reason is not null)
                yield return $"[{(d.NeedsAttention ? "yellow" : "grey")}]{Name(d, status.Domains)}:[/] {d.Reason.EscapeMarkup()}";
            if (d.Unsplit.ContainsKey(nameof(SplitOutcome.Hugetlb)))
                yield return $"[grey]{Name(d, status.Domains)}:[/] its hugetlb pages cannot be split, and are placed as a whole";
            foreach (SettingProblemStatus p in d.Problems)
                yield return $"[yellow]{Name(d, status.Domains)}:[/] "
                    + $"{p.Attribute.EscapeMarkup()}=\"{p.Value.EscapeMarkup()}\": {p.Message.EscapeMarkup()}";
        }
    }
}
