// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>
/// A host of two sockets with a slow node behind each: whether hot pages come to the fast node where they are used, cold ones go
/// to the slow node behind the fast one that they were on, and nothing crosses between the sockets without need. Guests that are
/// pinned to a socket, that may run on both, and that have NUMA cells of their own on both.
/// </summary>
internal sealed class SocketsScenario(DemoHost host, IDemoView view) : HostScenario(host, view)
{
    private const int Socket1 = 1; // nodes 1 and 3; socket 0 has nodes 0 and 2

    private static readonly BudgetedGuest s_pinned = new(
        new PayloadGuest
        {
            Name = "pinned", MemoryMebibytes = 128, HotPages = 4096, StrideFrames = 3, Cpus = "2", Nodes = "1,3",
        }, 32);

    private static readonly BudgetedGuest s_roaming = new(
        new PayloadGuest { Name = "roaming", MemoryMebibytes = 128, HotPages = 4096, StrideFrames = 3, Cpus = "1-2" }, 32);

    /// <summary>Its hot set lies half in each cell; all of it is first touched by the virtual CPU of cell 0.</summary>
    private static readonly BudgetedGuest s_cells = new(
        new PayloadGuest
        {
            Name = "cells", MemoryMebibytes = 160, HotPages = 5460, StrideFrames = 3,
            HotStartFrame = 32 * BudgetedGuest.PagesInMebibyte,
            Cpus = "1-2", Cells = [new PayloadCell(64, "1"), new PayloadCell(96, "2")],
        }, 40);

    private static readonly BudgetedGuest[] s_all = [s_pinned, s_roaming, s_cells];

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

    protected override IReadOnlyList<string> Names => CheckNames;

    protected override async Task PlayAsync(CancellationToken cancel)
    {
        foreach (BudgetedGuest guest in s_all)
            await StartAsync(guest, cancel);
        await RunOnAsync(s_roaming, Socket1, cancel);
        await SettleAsync(cancel);
        await RoamAsync(cancel);
        await CloseAsync(cancel);
    }

    private async Task SettleAsync(CancellationToken cancel)
    {
        Step("guests settle");
        Dictionary<BudgetedGuest, byte[]> nodes = [];
        bool settled = await UntilAsync(async () =>
        {
            foreach (BudgetedGuest guest in s_all)
                nodes[guest] = await guest.NodesAsync(Host, cancel);
            return s_pinned.HotShare(nodes[s_pinned], _ => Socket1) >= RightShare
                && s_roaming.HotShare(nodes[s_roaming], _ => Socket1) >= RightShare
                && s_cells.HotShare(nodes[s_cells], SocketOfCell) >= RightShare
                && s_all.All(guest => FastPages(nodes[guest]) <= guest.BudgetPages)
                && HomesAreRight();
        }, cancel);
        ReportHot(PinnedIsHome, s_pinned, nodes[s_pinned], _ => Socket1);
        int outside = nodes[s_pinned].Count(node => node is 0 or 2);
        Report(PinnedKeepsLimit, outside == 0, $"{outside} pages on nodes 0 and 2; {Describe(nodes[s_pinned])}");
        ReportHot(RoamingIsHome, s_roaming, nodes[s_roaming], _ => Socket1);
        ReportHot(CellsAreHome, s_cells, nodes[s_cells], SocketOfCell);
        int behind = nodes[s_cells].Count(node => node == 2);
        int elsewhere = nodes[s_cells].Count(node => node == 3);
        Report(ColdStaysBehind, settled && behind > 0 && elsewhere <= behind * StrayShare, Describe(nodes[s_cells]));
        string homes = string.Join("; ", (Status?.Domains ?? []).Select(
            d => $"{d.Name}: {string.Join(", ", d.Home.Select(on => string.Create(
                CultureInfo.InvariantCulture, $"{on.Share:P0} node {on.Node}")))}"));
        Report(HomesAreTold, HomesAreRight(), homes);
    }

    private async Task RoamAsync(CancellationToken cancel)
    {
        Dictionary<BudgetedGuest, byte[]> before = [];
        foreach (BudgetedGuest guest in s_all)
            before[guest] = await guest.NodesAsync(Host, cancel);
        await FollowAsync(s_roaming, socket: 0, RoamingIsFollowed, OnlyHotCross, cancel);
        List<string> crossed = [];
        bool stay = true;
        foreach (BudgetedGuest guest in (BudgetedGuest[])[s_pinned, s_cells])
        {
            int pages = Crossed(before[guest], await guest.NodesAsync(Host, cancel)).Count();
            stay &= pages <= guest.Hot.Count * StrayShare;
            crossed.Add($"{pages} of {guest.Name}");
        }
        Report(OthersStay, stay, string.Join(", ", crossed));
    }

    private async Task CloseAsync(CancellationToken cancel)
    {
        Step("the accounts of the guests");
        List<string> fast = [];
        bool kept = true;
        foreach (BudgetedGuest guest in s_all)
        {
            int pages = FastPages(await guest.NodesAsync(Host, cancel));
            kept &= pages <= guest.BudgetPages;
            fast.Add($"{guest.Name} {pages} of {guest.BudgetPages} pages");
        }
        Report(BudgetsAreKept, kept, string.Join(", ", fast));
        await ReportUndisturbedAsync(Undisturbed, s_all, cancel);
    }

    private static int SocketOfCell(int frame) =>
        frame < s_cells.Payload.Cells[0].MemoryMebibytes * BudgetedGuest.PagesInMebibyte ? 0 : Socket1;

    // Where roaming ran before it was put on its processor is forgotten only after a while.
    private bool HomesAreRight() => HomeOf(s_pinned) is [{ Node: 1 }] && HomeOf(s_roaming) is [{ Node: 1 }]
        && HomeOf(s_cells) is [{ Node: 0, Share: > 0.3 and < 0.5 }, { Node: 1 }];

    private IReadOnlyList<VirtTier.Agent.NodeShare> HomeOf(BudgetedGuest guest) => StatusOf(guest.Name)?.Home ?? [];

    private static int FastPages(byte[] nodes) => nodes.Count(node => node is 0 or 1);
}
