// SPDX-License-Identifier: Apache-2.0
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>A host of two sockets without any slow tier: nothing is promoted or demoted, but hot pages follow their guest to the
/// other socket, as NUMA balancing, which is off, would have had them.</summary>
internal sealed class DramSocketsScenario(DemoHost host, IDemoView view) : HostScenario(host, view)
{
    private static readonly BudgetedGuest s_roaming = new(
        new PayloadGuest { Name = "roaming", MemoryMebibytes = 96, HotPages = 4096, StrideFrames = 2, Cpus = "1-2" }, 32);

    private const string HotIsHome = "roaming: its hot pages are on the node where it runs";
    private const string RoamingIsFollowed = "roaming: moved to the other socket, its hot pages follow";
    private const string OnlyHotCross = "roaming: none but hot pages went along";
    private const string NothingIsWrong = "virttier doctor finds no error";
    private const string Undisturbed = "roaming: ran on undisturbed, its memory whole";

    /// <summary>The names of all checks, in their order.</summary>
    public static IReadOnlyList<string> CheckNames { get; } =
        [HotIsHome, RoamingIsFollowed, OnlyHotCross, NothingIsWrong, Undisturbed];

    protected override IReadOnlyList<string> Names => CheckNames;

    protected override async Task PlayAsync(CancellationToken cancel)
    {
        await StartAsync(s_roaming, cancel);
        await RunOnAsync(s_roaming, socket: 1, cancel);
        Step("it settles");
        byte[] nodes = [];
        await UntilAsync(async () =>
        {
            nodes = await s_roaming.NodesAsync(Host, cancel);
            return s_roaming.HotShare(nodes, _ => 1) >= RightShare && StatusOf(s_roaming.Name)?.Home is [{ Node: 1 }];
        }, cancel);
        ReportHot(HotIsHome, s_roaming, nodes, _ => 1);
        await FollowAsync(s_roaming, socket: 0, RoamingIsFollowed, OnlyHotCross, cancel);
        (int exitCode, IReadOnlyList<DoctorLine> lines) = await Host.ConsultDoctorAsync(cancel);
        Report(NothingIsWrong, exitCode < 2, string.Join("; ", lines.Where(l => l.Severity != "Ok").Select(l => l.Text)));
        await ReportUndisturbedAsync(Undisturbed, [s_roaming], cancel);
    }
}
