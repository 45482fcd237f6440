// SPDX-License-Identifier: Apache-2.0
using Spectre.Console;
using Spectre.Console.Rendering;
using VirtTier.Agent.Status;

namespace VirtTier.Demo;

/// <summary>The demo on a terminal: checks and steps scroll by, the table of guests stays below them and lives.</summary>
internal sealed class ConsoleView(LiveDisplayContext? live) : IDemoView
{
    private static readonly TimeSpan s_plainInterval = TimeSpan.FromSeconds(15);

    private readonly List<IRenderable> _lines = [];
    private readonly long _started = TimeProvider.System.GetTimestamp();
    private IRenderable? _table;
    private long _shown;

    public void Step(string what) =>
        Add(new Markup($"[grey]{TimeProvider.System.GetElapsedTime(_started):mm\\:ss}[/] {what.EscapeMarkup()}"));

    public void Trouble(string what) => Add(new Markup($"[yellow]{what.EscapeMarkup()}[/]"));

    public void Show(Check check) => Add(CheckLine(check));

    public void Show(AgentStatus status)
    {
        _table = StatusTable.Render(status);
        if (live is not null)
            Redraw();
        else if (_shown == 0 || TimeProvider.System.GetElapsedTime(_shown) >= s_plainInterval)
        {
            _shown = TimeProvider.System.GetTimestamp();
            AnsiConsole.Write(_table);
        }
    }

    public static Markup CheckLine(Check check) => new(
        $"  {(check.Passed ? "[green]ok  [/]" : "[red]FAIL[/]")} {check.Name.EscapeMarkup()} "
            + $"[grey]({check.Detail.EscapeMarkup()})[/]");

    private void Add(IRenderable line)
    {
        _lines.Add(line);
        if (live is not null)
            Redraw();
        else
            AnsiConsole.Write(line);
        if (live is null)
            AnsiConsole.WriteLine();
    }

    private void Redraw()
    {
        // Spectre redraws in place only what fits on the screen: the table and as many lines as there is room for above it.
        int room = Math.Max(3, AnsiConsole.Profile.Height - 20);
        live!.UpdateTarget(new Rows([.. _lines.TakeLast(room), .. _table is null ? Array.Empty<IRenderable>() : [_table]]));
        live.Refresh();
    }
}
