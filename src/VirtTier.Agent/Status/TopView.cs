// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;
using VirtTier.Agent.Pictures;

namespace VirtTier.Agent.Status;

/// <summary>What <c>virttier top</c> shows, and what keys change of it.</summary>
internal sealed class TopView
{
    private static readonly (string Name, Func<DomainStatus, IComparable> Key, bool Descending)[] s_orders =
    [
        ("name", d => d.Name, false),
        ("state", d => d.StateName, false),
        ("memory", d => d.MemoryBytes, true),
        ("budget", d => d.BudgetBytes, true),
        ("DRAM now", d => d.FastBytes, true),
        ("slow now", d => d.SlowBytes, true),
        ("hot found", d => d.HotBytes, true),
        ("hot in DRAM", d => d.HotBytes > 0 ? d.HotFastBytes / (double)d.HotBytes : 1, false),
        ("moved", d => d.PromotedPages + d.DemotedPages, true),
    ];

    private static readonly double[] s_delays = [0.5, 1, 2, 5, 10];

    private string _filter = "";
    private string? _typed; // a filter that is being typed
    private int _order;
    private Guid? _selected;
    private bool _help;
    private bool _detail;

    public AgentStatus? Status { get; set; }

    /// <summary>The detail of <see cref="DetailOf"/>; null while it is not known.</summary>
    public DomainDetail? Detail { get; set; }

    /// <summary>Time from one picture to the next.</summary>
    public TimeSpan Delay { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Whether it stays as it is.</summary>
    public bool IsPaused { get; private set; }

    /// <summary>Whether the user has had enough.</summary>
    public bool IsEnded { get; private set; }

    /// <summary>The domain that is shown in detail; null for the list.</summary>
    public Guid? DetailOf => _detail ? Selected?.Uuid : null;

    /// <summary>The domains that pass the filter, in order.</summary>
    public IReadOnlyList<DomainStatus> Shown
    {
        get
        {
            string filter = _typed ?? _filter;
            (_, Func<DomainStatus, IComparable> key, bool descending) = s_orders[_order];
            IEnumerable<DomainStatus> domains = (Status?.Domains ?? [])
                .Where(d => d.Name.Contains(filter, StringComparison.OrdinalIgnoreCase))
                .OrderBy(d => d.Name, StringComparer.Ordinal);
            return [.. descending ? domains.OrderByDescending(key) : _order == 0 ? domains : domains.OrderBy(key)];
        }
    }

    private DomainStatus? Selected =>
        Shown is { Count: > 0 } shown ? shown.FirstOrDefault(d => d.Uuid == _selected) ?? shown[0] : null;

    /// <summary>A key was pressed.</summary>
    public void Press(ConsoleKeyInfo key)
    {
        if (_typed is not null)
        {
            Type(key);
            return;
        }
        switch (key.Key, key.KeyChar)
        {
            case (_, 'q' or 'Q'):
                IsEnded = true;
                break;
            case (ConsoleKey.Escape, _):
                (_help, _detail) = (false, false);
                break;
            case (_, 'h' or '?'):
                _help = !_help;
                break;
            case (_, 'd'):
                int at = Array.FindIndex(s_delays, delay => delay > Delay.TotalSeconds);
                Delay = TimeSpan.FromSeconds(s_delays[Math.Max(0, at)]);
                break;
            case (_, '/'):
                _typed = "";
                break;
            case (_, 's'):
                _order = (_order + 1) % s_orders.Length;
                break;
            case (_, 'p' or ' '):
                IsPaused = !IsPaused;
                break;
            case (ConsoleKey.Enter, _):
                _detail = !_detail;
                break;
            case (ConsoleKey.UpArrow, _) or (_, 'k'):
                Select(-1);
                break;
            case (ConsoleKey.DownArrow, _) or (_, 'j'):
                Select(1);
                break;
            default:
                break;
        }
    }

    /// <summary>Everything, as it fits the screen.</summary>
    public IRenderable Render()
    {
        if (_help)
            return new Text(Help);
        if (_detail && Detail is { } detail)
            return new Text(
                string.Join('\n', DetailText.Render(detail, AnsiConsole.Profile.Width)) + "\n\nEnter or Esc: back to the list");
        return new Rows(
            StatusTable.Render(Status! with { Domains = Shown }), new Text(Line()));
    }

    internal const string Help = """
        q       end
        h, ?    these keys, and back
        d       the next delay: 0.5, 1, 2, 5, 10 seconds
        /       show only VMs with a text in their name; Enter keeps it, Esc drops it
        s       sort by the next column
        p       pause, and go on
        up, k   select the VM above
        down, j select the VM below
        Enter   show the selected VM, and back
        """;

    /// <summary>The line at the foot: what is shown, and how.</summary>
    internal string Line() => string.Create(
        CultureInfo.InvariantCulture,
        $"by {s_orders[_order].Name}; every {Delay.TotalSeconds:0.#} s{(IsPaused ? ", paused" : "")}"
            + $"{(_typed is { } typed ? $"; filter: {typed}_" : _filter.Length > 0 ? $"; filter: {_filter}" : "")}"
            + $"; Enter: {TextTable.Name(Selected?.Name ?? "no VM", 40)}; h: keys");

    private void Type(ConsoleKeyInfo key)
    {
        switch (key.Key)
        {
            case ConsoleKey.Enter:
                (_filter, _typed) = (_typed!, null);
                break;
            case ConsoleKey.Escape:
                (_filter, _typed) = ("", null);
                break;
            case ConsoleKey.Backspace:
                _typed = _typed![..Math.Max(0, _typed!.Length - 1)];
                break;
            default:
                if (!char.IsControl(key.KeyChar))
                    _typed += key.KeyChar;
                break;
        }
    }

    private void Select(int step)
    {
        IReadOnlyList<DomainStatus> shown = Shown;
        int at = shown.TakeWhile(d => d.Uuid != Selected?.Uuid).Count() + step;
        if (at >= 0 && at < shown.Count)
            _selected = shown[at].Uuid;
    }
}
