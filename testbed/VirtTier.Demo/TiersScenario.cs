// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent;
using VirtTier.Agent.Status;
using VirtTier.Primitives;
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>
/// A host of three tiers, DRAM (node 0), a small near slow node (1) and a far one (2): a guest whose cold pages are more than
/// the near one has room for. They go down one step at a time, room is kept for what comes down next, and what becomes hot
/// comes up from wherever it is.
/// </summary>
internal sealed class TiersScenario(DemoHost host, IDemoView view) : HostScenario(host, view)
{
    private static readonly BudgetedGuest s_deep = new(
        new PayloadGuest { Name = "deep", MemoryMebibytes = 320, HotPages = 4096, StrideFrames = 9 }, 32);

    private const string TiersAreTold = "virttier status tells of three tiers";
    private const string HotIsInDram = "deep: its hot pages are in DRAM";
    private const string BothAreUsed =
        "deep: its cold pages are on the near slow node, and what has no room there on the far one";
    private const string RoomIsKept = "deep: the near slow node keeps room, cold pages of it go to the far one";
    private const string HotRises = "deep: what becomes hot on the far node comes to DRAM";
    private const string BudgetIsKept = "deep: no more DRAM than its budget";
    private const string Undisturbed = "deep: ran on undisturbed, its memory whole";

    /// <summary>The names of all checks, in their order.</summary>
    public static IReadOnlyList<string> CheckNames { get; } =
        [TiersAreTold, HotIsInDram, BothAreUsed, RoomIsKept, HotRises, BudgetIsKept, Undisturbed];

    protected override IReadOnlyList<string> Names => CheckNames;

    protected override async Task PlayAsync(CancellationToken cancel)
    {
        // The kernel puts all nodes without processors into one tier unless firmware says how fast they are.
        Step("virttier.yaml: tiers: { fast: [0], slow: [[1], [2]] }, and systemctl reload virttier");
        await Host.ConfigureAsync("tiers: { fast: [0], slow: [[1], [2]] }", cancel);
        await StartAsync(s_deep, cancel);
        Step("it settles");
        byte[] nodes = [];
        await UntilAsync(async () =>
        {
            nodes = await s_deep.NodesAsync(Host, cancel);
            return s_deep.HotShare(nodes, _ => 0) >= RightShare && On(nodes, 0) <= s_deep.BudgetPages && HasRoom();
        }, cancel);
        Report(TiersAreTold, Status?.Tiers is [{ Nodes: [0] }, { Nodes: [1] }, { Nodes: [2] }],
            string.Join(" | ", (Status?.Tiers ?? []).Select(tier => $"{tier.Name}: {string.Join(" ", tier.Nodes)}")));
        ReportHot(HotIsInDram, s_deep, nodes, _ => 0);
        long near = (Near?.TotalBytes ?? 0) / PageSizes.PageBytes;
        Report(BothAreUsed, near > 0 && On(nodes, 1) >= near / 2 && On(nodes, 2) > 0,
            $"{Describe(nodes)}; the near node has {near} in all");
        await CrowdAsync(cancel);
        nodes = await s_deep.NodesAsync(Host, cancel);

        // Twice by half: what went down last, to the far node, has the highest frames.
        Step("another set becomes hot");
        IReadOnlySet<int> hot = s_deep.Payload.HotFrames(shifts: 2);
        int far = hot.Count(frame => nodes[frame] == 2);
        await Host.Host.ShiftAsync(s_deep.Payload, cancel);
        await Host.Host.ShiftAsync(s_deep.Payload, cancel);
        await UntilAsync(async () =>
        {
            nodes = await s_deep.NodesAsync(Host, cancel);
            return InDram() >= RightShare;
        }, cancel);
        Report(HotRises, far > 0 && InDram() >= RightShare,
            $"{far} pages of the new hot set were on the far node; {InDram():P2} of it are in DRAM; {Describe(nodes)}");
        Report(BudgetIsKept, On(nodes, 0) <= s_deep.BudgetPages, $"{On(nodes, 0)} of {s_deep.BudgetPages} pages");
        await ReportUndisturbedAsync(Undisturbed, [s_deep], cancel);

        double InDram() => hot.Count(frame => nodes[frame] == 0) / (double)hot.Count;
    }

    /// <summary>Somebody else takes the near node's room.</summary>
    private async Task CrowdAsync(CancellationToken cancel)
    {
        if (Near is not { } before)
            return;
        long sunkBefore = StatusOf(s_deep.Name)?.SunkPages ?? 0;
        // Half of what the agent keeps is left.
        long bytes = Math.Max(0, before.FreeBytes - (before.TotalBytes / (2 * GuestHomes.RoomPart)));
        Step($"{bytes >> 20} MiB of a file take the near node's room");
        await Host.RunAsync(
            $"numactl --membind 1 dd if=/dev/zero of=/dev/shm/ballast bs=1024 count={bytes / 1024} 2>&1", cancel);
        bool kept = await UntilAsync(() => Task.FromResult(
            HasRoom() && Sunk() * PageSizes.PageBytes >= before.TotalBytes / (4 * GuestHomes.RoomPart)), cancel);
        Report(RoomIsKept, kept, $"{Pages(before.FreeBytes)} of {Pages(before.TotalBytes)} pages were free, "
            + $"{Pages(bytes)} were taken, {Sunk()} went on to the far node, {Pages(Near?.FreeBytes ?? 0)} are free");

        static long Pages(long bytes) => bytes / PageSizes.PageBytes;
        long Sunk() => (StatusOf(s_deep.Name)?.SunkPages ?? 0) - sunkBefore;
    }

    private NodeStatus? Near => Status?.Tiers.SelectMany(tier => tier.ByNode).FirstOrDefault(on => on.Node == 1);

    private bool HasRoom() => Near is { } near && near.FreeBytes >= near.TotalBytes / GuestHomes.RoomPart;

    private static int On(byte[] nodes, int node) => nodes.Count(on => on == node);
}
