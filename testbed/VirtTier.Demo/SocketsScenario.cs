// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Status;
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>
/// A host of two sockets with a slow node behind each: whether hot pages come to the fast node where they are used, cold ones go
/// to the slow node behind the fast one that they were on, and nothing crosses between the sockets without need. Guests that are
/// pinned to a socket, that may run on both, and that have NUMA cells of their own on both. Judged by the kernel's word on each
/// page and by what the guests say is hot.
/// </summary>
internal sealed class SocketsScenario(DemoHost host, IDemoView view)
{
    /// <summary>The machine that it wants.</summary>
    public const string Machine = "two-sockets";

    // In the time that the host had, as in the main job.
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(2);

    private const double RightShare = 0.95;

    // What is hot by the guests' word is not all that they ever touch.
    private const double StrayShare = 0.05;

    private const int Socket1 = 1; // nodes 1 and 3; socket 0 has nodes 0 and 2

    private static readonly SocketGuest s_pinned = new(
        new PayloadGuest
        {
            Name = "pinned", MemoryMebibytes = 128, HotPages = 4096, StrideFrames = 3, Cpus = "2", Nodes = "1,3",
        }, 32);

    private static readonly SocketGuest s_roaming = new(
        new PayloadGuest { Name = "roaming", MemoryMebibytes = 128, HotPages = 4096, StrideFrames = 3, Cpus = "1-2" }, 32);

    /// <summary>Its hot set lies half in each cell; all of it is first touched by the virtual CPU of cell 0.</summary>
    private static readonly SocketGuest s_cells = new(
        new PayloadGuest
        {
            Name = "cells", MemoryMebibytes = 160, HotPages = 5460, StrideFrames = 3, HotStartFrame = 32 * FramesInMebibyte,
            Cpus = "1-2", Cells = [new PayloadCell(64, "1"), new PayloadCell(96, "2")],
        }, 40);

    private static readonly SocketGuest[] s_all = [s_pinned, s_roaming, s_cells];

    private const int FramesInMebibyte = 256;

    private readonly List<Check> _checks = [];
    private AgentStatus? _status;

    private const string PinnedIsHome = "pinned: its hot pages are on its own socket's fast node";
    private const string PinnedKeepsLimit = "pinned: not a page is outside of its strict numatune";
    private const string RoamingIsHome = "roaming: its hot pages are on the fast node where it runs";
    private const string CellsAreHome = "cells: the hot pages of each of its NUMA cells are on that cell's fast node";
    private const string ColdStaysBehind = "cells: its cold pages went to the slow node behind the fast one that they were on";
    private const string HomesAreTold = "virttier status tells where each is at home";
    private const string RoamingIsFollowed = "roaming: moved to the other socket, its hot pages follow";
    private const string OnlyHotCross = "roaming: none but hot pages went along";
    private const string OthersStay = "pinned, cells: not a page crossed between the sockets meanwhile";
    private const string BudgetsAreKept = "all: no more fast memory than their budgets";
    private const string Undisturbed = "all: ran on undisturbed, their memory whole";

    /// <summary>The names of all checks, in their order.</summary>
    public static IReadOnlyList<string> CheckNames { get; } =
    [
        PinnedIsHome, PinnedKeepsLimit, RoamingIsHome, CellsAreHome, ColdStaysBehind, HomesAreTold,
        RoamingIsFollowed, OnlyHotCross,
        OthersStay, BudgetsAreKept, Undisturbed,
    ];

    /// <summary>Runs it on a host that is up, with VirtTier installed.</summary>
    /// <returns>Every check, those that were not reached as failed.</returns>
    public async Task<IReadOnlyList<Check>> RunAsync(CancellationToken cancel)
    {
        try
        {
            foreach (SocketGuest guest in s_all)
            {
                view.Step($"virsh start {guest.Name} ({guest.Payload.MemoryMebibytes} MiB, CPUs {guest.Payload.Cpus})");
                await host.Host.StartAsync(guest.Payload, $"dram=\"{guest.BudgetMebibytes}MiB\"", cancel: cancel);
            }
            await RunOnAsync(s_roaming, cpu: 2, cancel);
            await SettleAsync(cancel);
            await RoamAsync(cancel);
            await CloseAsync(cancel);
        }
        catch (TestbedException e)
        {
            Report("the demo came to its end", false, e.Message);
        }
        foreach (string name in CheckNames.Where(name => _checks.All(c => c.Name != name)))
            _checks.Add(new Check(name, false, "not reached"));
        return _checks;
    }

    private async Task SettleAsync(CancellationToken cancel)
    {
        view.Step("guests settle");
        Dictionary<SocketGuest, byte[]> nodes = [];
        bool settled = await UntilAsync(async () =>
        {
            foreach (SocketGuest guest in s_all)
                nodes[guest] = await guest.NodesAsync(host, cancel);
            return RightOf(s_pinned, nodes[s_pinned], _ => Socket1) >= RightShare
                && RightOf(s_roaming, nodes[s_roaming], _ => Socket1) >= RightShare
                && RightOf(s_cells, nodes[s_cells], SocketOfCell) >= RightShare
                && s_all.All(guest => SocketGuest.FastPages(nodes[guest]) <= guest.BudgetPages)
                && HomesAreRight();
        }, cancel);
        ReportRight(PinnedIsHome, s_pinned, nodes[s_pinned], _ => Socket1);
        int outside = nodes[s_pinned].Count(node => node is 0 or 2);
        Report(PinnedKeepsLimit, outside == 0, $"{outside} pages on nodes 0 and 2; {Describe(nodes[s_pinned])}");
        ReportRight(RoamingIsHome, s_roaming, nodes[s_roaming], _ => Socket1);
        ReportRight(CellsAreHome, s_cells, nodes[s_cells], SocketOfCell);
        int behind = nodes[s_cells].Count(node => node == 2);
        int elsewhere = nodes[s_cells].Count(node => node == 3);
        Report(ColdStaysBehind, settled && behind > 0 && elsewhere <= behind * StrayShare, Describe(nodes[s_cells]));
        string homes = string.Join("; ", (_status?.Domains ?? []).Select(
            d => $"{d.Name}: {string.Join(", ", d.Home.Select(on => string.Create(
                CultureInfo.InvariantCulture, $"{on.Share:P0} node {on.Node}")))}"));
        Report(HomesAreTold, HomesAreRight(), homes);
    }

    private async Task RoamAsync(CancellationToken cancel)
    {
        Dictionary<SocketGuest, byte[]> before = [];
        foreach (SocketGuest guest in s_all)
            before[guest] = await guest.NodesAsync(host, cancel);
        view.Step("roaming's virtual CPU goes to socket 0");
        await RunOnAsync(s_roaming, cpu: 1, cancel);
        HostClock clock = await host.Host.ClockAsync(cancel);
        byte[] after = [];
        await UntilAsync(async () =>
        {
            after = await s_roaming.NodesAsync(host, cancel);
            return RightOf(s_roaming, after, _ => 0) >= RightShare;
        }, cancel);
        ReportRight(RoamingIsFollowed, s_roaming, after, _ => 0, string.Create(
            CultureInfo.InvariantCulture, $" after {clock.Elapsed.TotalSeconds:0} s"));
        int cold = Crossed(before[s_roaming], after).Count(frame => !s_roaming.Hot.Contains(frame));
        Report(OnlyHotCross, cold <= s_roaming.Hot.Count * StrayShare,
            $"{Crossed(before[s_roaming], after).Count()} pages crossed, {cold} of them not hot");
        List<string> crossed = [];
        bool stay = true;
        foreach (SocketGuest guest in (SocketGuest[])[s_pinned, s_cells])
        {
            int pages = Crossed(before[guest], await guest.NodesAsync(host, cancel)).Count();
            stay &= pages <= guest.Hot.Count * StrayShare;
            crossed.Add($"{pages} of {guest.Name}");
        }
        Report(OthersStay, stay, string.Join(", ", crossed));
    }

    private async Task CloseAsync(CancellationToken cancel)
    {
        view.Step("the accounts of the guests");
        List<string> fast = [], lives = [];
        bool kept = true, whole = true;
        foreach (SocketGuest guest in s_all)
        {
            int pages = SocketGuest.FastPages(await guest.NodesAsync(host, cancel));
            kept &= pages <= guest.BudgetPages;
            fast.Add($"{guest.Name} {pages} of {guest.BudgetPages} pages");
            PayloadLog log = await host.Host.LogOfAsync(guest.Payload, cancel);
            whole &= log is { Starts: 1, Heartbeats: > 0, DamagedPages: 0 };
            lives.Add($"{guest.Name} {log.Heartbeats} heartbeats, {log.DamagedPages} damaged pages");
        }
        Report(BudgetsAreKept, kept, string.Join(", ", fast));
        Report(Undisturbed, whole, string.Join(", ", lives));
    }

    /// <summary>Puts a guest's virtual CPU on a processor, as the scheduler might.</summary>
    private Task<string> RunOnAsync(SocketGuest guest, int cpu, CancellationToken cancel) => host.RunAsync(
        $"""
        for thread in /proc/$(cat /run/libvirt/qemu/{guest.Name}.pid)/task/*; do
            if grep -q '^CPU 0/KVM' $thread/comm; then taskset -pc {cpu} $(basename $thread); fi
        done
        """, cancel);

    private static int SocketOfCell(int frame) =>
        frame < s_cells.Payload.Cells[0].MemoryMebibytes * FramesInMebibyte ? 0 : Socket1;

    /// <summary>The share of hot pages that are on the fast node of the right socket, which has the socket's number.</summary>
    private static double RightOf(SocketGuest guest, byte[] nodes, Func<int, int> socketOf) =>
        guest.Hot.Count(frame => nodes[frame] == socketOf(frame)) / (double)guest.Hot.Count;

    private static IEnumerable<int> Crossed(byte[] before, byte[] after) => Enumerable.Range(0, before.Length).Where(
        frame => before[frame] < 4 && after[frame] < 4 && before[frame] % 2 != after[frame] % 2);

    private static string Describe(byte[] nodes) =>
        string.Join(", ", Enumerable.Range(0, 4).Select(node => $"node {node}: {nodes.Count(of => of == node)} pages"));

    private void ReportRight(string name, SocketGuest guest, byte[] nodes, Func<int, int> socketOf, string after = "")
    {
        double share = RightOf(guest, nodes, socketOf);
        Report(name, share >= RightShare, string.Create(
            CultureInfo.InvariantCulture, $"{share:P2} of {guest.Hot.Count} hot pages{after}; {Describe(nodes)}"));
    }

    // Where roaming ran before it was put on its processor is forgotten only after a while.
    private bool HomesAreRight() => HomeOf(s_pinned) is [{ Node: 1 }] && HomeOf(s_roaming) is [{ Node: 1 }]
        && HomeOf(s_cells) is [{ Node: 0, Share: > 0.3 and < 0.5 }, { Node: 1 }];

    private IReadOnlyList<VirtTier.Agent.NodeShare> HomeOf(SocketGuest guest) =>
        _status?.Domains.FirstOrDefault(d => d.Name == guest.Name)?.Home ?? [];

    private async Task<bool> UntilAsync(Func<Task<bool>> condition, CancellationToken cancel)
    {
        HostClock clock = await host.Host.ClockAsync(cancel);
        while (true)
        {
            _status = await host.StatusAsync(cancel);
            if (_status is not null)
                view.Show(_status);
            if (await condition())
                return true;
            if (clock.Elapsed > s_limit)
                return false;
            await Task.Delay(s_pause, cancel);
        }
    }

    private void Report(string name, bool passed, string detail)
    {
        Check check = new(name, passed, detail);
        _checks.Add(check);
        view.Show(check);
    }

    private sealed record SocketGuest(PayloadGuest Payload, int BudgetMebibytes)
    {
        public string Name => Payload.Name;

        public int BudgetPages => BudgetMebibytes * FramesInMebibyte;

        public IReadOnlySet<int> Hot { get; } = Payload.HotFrames();

        public Task<byte[]> NodesAsync(DemoHost host, CancellationToken cancel) =>
            host.NodesAsync(Name, Payload.Cells.Select(cell => cell.MemoryMebibytes), cancel);

        public static int FastPages(byte[] nodes) => nodes.Count(node => node is 0 or 1);
    }
}
