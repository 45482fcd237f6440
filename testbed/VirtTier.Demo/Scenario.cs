// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Primitives;
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>
/// VirtTier's main job from end to end, on a host with real guests: they start under plain virsh, are found, sampled and settle
/// in their budgets; then what may happen to them happens. Every check holds what the kernel says about the guests' pages
/// against what the guests say about their accesses; the agent's own figures are only shown.
/// </summary>
internal sealed class Scenario(DemoHost host, IDemoView view) : HostScenario(host, view)
{
    private static readonly TimeSpan s_settleLimit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_followLimit = TimeSpan.FromMinutes(2);
    // Without libvirt's signal the agent would find a changed definition too, within a minute.
    private static readonly TimeSpan s_signalLimit = TimeSpan.FromSeconds(15);

    private readonly BudgetWatch _budgets = new();
    private readonly Dictionary<string, int> _pids = [];
    private readonly Dictionary<string, (long Heartbeats, int Starts, int Damaged)> _destroyed = [];

    /// <summary>The names of all checks, in their order.</summary>
    public static IReadOnlyList<string> CheckNames { get; } =
    [
        HookTells, .. DemoGuests.All.Select(Settles), SamplesWhereTheyTell, DoctorFindsAllWell, DoctorNamesWhatIsNot,
        DoctorStopsKhugepaged,
        ObserveMovesNothing, ObserveReportsHotSet, EnableTiers, ObserveStops, HalvedIsKnown, HalvedIsFollowed,
        ShiftIsFollowedSoon, ShiftIsFollowed, ShiftIsShown, SuspendStops, ResumeGoesOn, BadSizeChangesNothing,
        BadSizeIsNamed, MendedIsForgotten, WritesAreWeighed, KilledAgentComesBack, KilledAgentDisturbsNobody, DestroyDetaches,
        .. DemoGuests.All.Where(g => !g.Observed).Select(Holds),
        .. DemoGuests.All.Select(Undisturbed), StopDetaches, SamplesAreTrue, RecordingIsTrue,
    ];

    private const string HookTells = "hook: libvirt's qemu hook tells the agent of each start";
    private const string SamplesWhereTheyTell =
        "huge, strewn: faults are sampled of 2 MiB mappings, and of no guest without any";
    private const string DoctorFindsAllWell = "doctor: the host is ready, its two tiers and every guest found";
    private const string DoctorNamesWhatIsNot = "doctor: a hook that cannot run is named, and its command mends it";
    private const string DoctorStopsKhugepaged =
        "doctor: a khugepaged that would join what is split is named, and its command puts it to sleep";
    private const string ObserveMovesNothing = "observe: not a page was moved";
    private const string ObserveReportsHotSet = "observe: the hot set is reported all the same";
    private const string EnableTiers = "observe: virttier enable has its pages moved within five rounds";
    private const string ObserveStops = "observe: virttier observe ends that within a round";
    private const string HalvedIsKnown = "size: virsh metadata reaches the agent by libvirt's signal";
    private const string HalvedIsFollowed = "size: a budget halved with virsh metadata is followed";
    private const string ShiftIsFollowed = "plain: a hot set that shifted by half is followed";
    private const string ShiftIsFollowedSoon = "plain: .95 of its new hot set is in DRAM within five rounds";
    private const string ShiftIsShown = "plain: virttier heatmap shows where its hot set was and where it went, as a diagonal";
    private const string SuspendStops = "shared: suspended, it is neither sampled nor moved";
    private const string ResumeGoesOn = "shared: resumed, it is tiered again with its hot pages in DRAM";
    private const string BadSizeChangesNothing = "percent: metadata with a bad size leaves the budget as it was";
    private const string BadSizeIsNamed = "percent: virttier status says what is wrong with the size";
    private const string MendedIsForgotten = "percent: once it is mended, the complaint is gone";
    private const string WritesAreWeighed = "percent: where a write weighs otherwise than a read, DRAM has what weighs more";
    private const string DestroyDetaches = "observe: destroyed, its sampler is gone";
    private const string KilledAgentComesBack = "agent: killed with -9, restarted by systemd, it takes up every guest again";
    private const string KilledAgentDisturbsNobody = "agent: its death and return left every guest's placement right";
    private const string SamplesAreTrue = "size: virttier sample prints accesses of its hot pages and of no others";
    private const string RecordingIsTrue = "size: virttier record finds its hot pages and no others";
    private const string StopDetaches = "agent: a stop detaches every sampler";

    protected override IReadOnlyList<string> Names => CheckNames;

    protected override async Task PlayAsync(CancellationToken cancel)
    {
        await StartGuestsAsync(cancel);
        await SettleAsync(cancel);
        await ConsultDoctorAsync(cancel);
        await StopKhugepagedAsync(cancel);
        await ObserveAsync(cancel);
        await SwitchModeAsync(cancel);
        await HalveBudgetAsync(cancel);
        await ShiftHotSetAsync(cancel);
        await SuspendAndResumeAsync(cancel);
        await SetBadSizeAsync(cancel);
        await WeighWritesAsync(cancel);
        await KillAgentAsync(cancel);
        await DestroyAsync(cancel);
        await CloseAccountsAsync(cancel);
        await StopAgentAsync(cancel);
        await LookWithoutAgentAsync(cancel);
    }

    private async Task StartGuestsAsync(CancellationToken cancel)
    {
        foreach (DemoGuest guest in DemoGuests.All)
        {
            Step($"virsh start {guest.Name} ({guest.MemoryMebibytes} MiB, {guest.Tiering ?? "no metadata"})");
            await guest.StartAsync(Host.Host, cancel);
            _pids[guest.Name] = await Host.PidAsync(guest, cancel);
            await LookAsync(cancel);
        }
        long hookCalls = Status?.Libvirt.HookCalls ?? 0;
        Report(HookTells, hookCalls >= DemoGuests.All.Count, $"{hookCalls} messages for {DemoGuests.All.Count} starts");
        foreach (DemoGuest guest in DemoGuests.All.Where(g => !g.Observed))
            _budgets.Begin(_pids[guest.Name], guest.BudgetPages + guest.SparePages);
        await Host.WatchAsync(_pids.Values, cancel);
    }

    private async Task SettleAsync(CancellationToken cancel)
    {
        Step("guests settle in their budgets");
        List<DemoGuest> unsettled = [.. DemoGuests.All];
        Dictionary<DemoGuest, string> details = [];
        await UntilAsync(async () =>
        {
            foreach (DemoGuest guest in unsettled.ToArray())
            {
                // A guest that is observed only is found, not settled.
                (bool settled, details[guest]) = guest.Observed
                    ? HotSetFound(guest)
                    : InPlace(guest, guest.BudgetPages, await Host.PlacementAsync(guest, cancel));
                if (!settled)
                    continue;
                unsettled.Remove(guest);
                Report(Settles(guest), true, details[guest]);
            }
            return unsettled.Count == 0;
        }, s_settleLimit, cancel);
        foreach (DemoGuest guest in unsettled)
            Report(Settles(guest), false, details.GetValueOrDefault(guest, "never looked at"));
        bool sampled = await UntilAsync(
            () => Task.FromResult(StatusOf(DemoGuests.Huge)?.FaultSamples > 0 && StatusOf(DemoGuests.Strewn)?.FaultSamples > 0),
            s_followLimit, cancel);
        DomainStatus[] all = [.. (Status?.Domains ?? []).Where(d => d.FaultSamples > 0)];
        Report(SamplesWhereTheyTell, sampled && all.Length == 2,
            string.Join(", ", all.Select(d => $"{d.FaultSamples} of {d.Name}")));
    }

    private async Task ConsultDoctorAsync(CancellationToken cancel)
    {
        Step("virttier doctor");
        (int exitCode, IReadOnlyList<DoctorLine> lines) = await Host.ConsultDoctorAsync(cancel);
        string[] wrong = [.. lines.Where(l => l.Severity != "Ok").Select(l => $"{l.Check}: {l.Text}")];
        string domains = lines.FirstOrDefault(l => l.Check == "domains")?.Text ?? "no line on domains";
        Report(DoctorFindsAllWell, exitCode == 0 && wrong.Length == 0 && lines.Any(l => l.Check == "tiers")
            && domains.Contains($" {DemoGuests.All.Count} ", StringComparison.Ordinal),
            $"{lines.Count} lines; domains: {domains}; not well: {(wrong.Length == 0 ? "nothing" : string.Join("; ", wrong))}");

        await Host.RunAsync("chmod -x /etc/libvirt/hooks/qemu.d/virttier", cancel); // hurts nobody: no guest starts meanwhile
        (exitCode, lines) = await Host.ConsultDoctorAsync(cancel);
        DoctorLine[] warnings = [.. lines.Where(l => l.Severity != "Ok")];
        string mend = warnings.Length == 1 ? warnings[0].Mend ?? "" : "";
        await Host.RunAsync(mend, cancel);
        int mended = (await Host.ConsultDoctorAsync(cancel)).ExitCode;
        Report(DoctorNamesWhatIsNot, exitCode == 1 && warnings is [{ Check: "hook" }] && mended == 0,
            $"exit status {exitCode}, {string.Join("; ", warnings.Select(l => l.Text))}; after \"{mend}\" exit status {mended}");
    }

    // Doctor alone is shown that guests have huge pages: khugepaged, which joins whatever it finds, never runs here.
    private async Task StopKhugepagedAsync(CancellationToken cancel)
    {
        const string Folder = "/sys/kernel/mm/transparent_hugepage";
        await Host.RunAsync($"""
            set -e
            echo 10000 > {Folder}/khugepaged/scan_sleep_millisecs
            echo 'always [madvise] never' > /run/enabled
            mount --bind /run/enabled {Folder}/enabled
            """, cancel);
        (_, IReadOnlyList<DoctorLine> lines) = await Host.ConsultDoctorAsync(cancel);
        DoctorLine[] warnings = [.. lines.Where(l => l.Severity != "Ok")];
        string mend = warnings.Length == 1 ? warnings[0].Mend ?? "" : "";
        await Host.RunAsync(mend, cancel);
        int mended = (await Host.ConsultDoctorAsync(cancel)).ExitCode;
        await Host.RunAsync($"umount {Folder}/enabled", cancel);
        Report(DoctorStopsKhugepaged, warnings is [{ Check: "khugepaged" }] && mended == 0,
            $"{string.Join("; ", warnings.Select(l => l.Text))}; after \"{mend}\" exit status {mended}");
    }

    private async Task ObserveAsync(CancellationToken cancel)
    {
        Placement placement = await Host.PlacementAsync(DemoGuests.Observe, cancel);
        Report(ObserveMovesNothing, placement.Slow == 0 && StatusOf(DemoGuests.Observe) is { PromotedPages: 0, DemotedPages: 0 },
            placement.ToString());
        (bool found, string detail) = HotSetFound(DemoGuests.Observe);
        Report(ObserveReportsHotSet, found, detail);
    }

    private async Task SwitchModeAsync(CancellationToken cancel)
    {
        const int mostRounds = 5;
        DemoGuest guest = DemoGuests.Observe;
        Step($"virttier enable {guest.Name}");
        HostClock clock = await Host.Host.ClockAsync(cancel);
        await Host.RunAsync($"virttier enable {guest.Name}", cancel);
        // From the end of the command on: it takes an emulated host some rounds.
        await LookAsync(cancel);
        long begun = StatusOf(guest)?.Rounds ?? 0;
        long still = begun; // the rounds at the last look at which nothing was moved yet
        bool moved = await UntilAsync(() =>
        {
            if (StatusOf(guest) is { DemotedPages: 0 } status)
                still = status.Rounds;
            return Task.FromResult(StatusOf(guest) is { DemotedPages: > 0 });
        }, s_followLimit, cancel);
        Report(EnableTiers, moved && still - begun < mostRounds,
            $"pages of it were seen to move after {clock.Elapsed.TotalSeconds:0.0} s, none up to round {still - begun}");

        Step($"virttier observe {guest.Name}");
        await Host.RunAsync($"virttier observe {guest.Name}", cancel);
        List<(long Rounds, long Moved)> seen = [];
        bool watched = await UntilAsync(() =>
        {
            if (StatusOf(guest) is { Mode: "observe" } status)
                seen.Add((status.Rounds, status.PromotedPages + status.DemotedPages));
            return Task.FromResult(seen.Count > 0 && seen[^1].Rounds > seen[0].Rounds + mostRounds);
        }, s_followLimit, cancel);
        // The round that was under way when it was told may end its moves.
        long[] after = [.. seen.Where(s => s.Rounds > seen[0].Rounds).Select(s => s.Moved).Distinct()];
        Report(ObserveStops, watched && after.Length == 1,
            $"pages moved by then: {string.Join(", ", seen.Select(s => $"{s.Moved} in round {s.Rounds}"))}");
    }

    private async Task HalveBudgetAsync(CancellationToken cancel)
    {
        PayloadDemoGuest guest = DemoGuests.Size;
        int half = guest.BudgetPages / 2;
        Step($"virsh metadata {guest.Name} --live: dram=\"{guest.BudgetMebibytes / 2}MiB\"");
        await TakeReadingsAsync(cancel);
        (bool held, string heldDetail) = _budgets.Verdict(_pids[guest.Name]);
        await SetMetadataAsync(guest, $"<tiering dram=\"{guest.BudgetMebibytes / 2}MiB\"/>", cancel);
        _budgets.Begin(_pids[guest.Name], half);
        HostClock clock = await Host.Host.ClockAsync(cancel);
        bool known = await UntilAsync(
            () => Task.FromResult(StatusOf(guest)?.BudgetBytes == (long)guest.BudgetMebibytes << 19), s_signalLimit, cancel);
        Report(HalvedIsKnown, known, $"after {clock.Elapsed.TotalSeconds:0.0} s");
        string detail = "";
        bool followed = await UntilAsync(async () =>
        {
            (bool inPlace, detail) = InPlace(guest, half, await Host.PlacementAsync(guest, cancel));
            return inPlace;
        }, s_followLimit, cancel);
        Report(HalvedIsFollowed, followed && held, followed && !held ? $"before it was halved: {heldDetail}" : detail);
    }

    private async Task ShiftHotSetAsync(CancellationToken cancel)
    {
        PayloadDemoGuest guest = DemoGuests.Plain;
        Step($"{guest.Name}'s hot set shifts by half");
        (long before, IReadOnlyList<(double, long)> readings) =
            await Host.ShiftAndWatchAsync(guest, ShiftWatch.MostRounds + 1, s_followLimit, cancel);
        (bool soon, string course) = ShiftWatch.Judge(before, readings);
        Report(ShiftIsFollowedSoon, soon, course);
        string detail = "";
        bool followed = await UntilAsync(async () =>
        {
            if ((await Host.Host.LogOfAsync(guest.Payload, cancel)).Shifts == 0)
                return false;
            (bool inPlace, detail) = InPlace(guest, guest.BudgetPages, await Host.PlacementAsync(guest, cancel));
            return inPlace;
        }, s_followLimit, cancel);
        Report(ShiftIsFollowed, followed, detail);

        Step($"virttier heatmap {guest.Name}");
        bool shown = await UntilAsync(async () =>
        {
            string map = await Host.RunAsync($"virttier heatmap {guest.Name} --last 10min --json", cancel);
            int shifts = (await Host.Host.LogOfAsync(guest.Payload, cancel)).Shifts;
            (bool isShown, detail) =
                HeatMapWatch.Judge(DomainHeat.FromJson(map), guest.Payload.HotFrames(), guest.Payload.HotFrames(shifts));
            return isShown;
        }, s_followLimit, cancel);
        Report(ShiftIsShown, shown, detail);
    }

    private async Task SuspendAndResumeAsync(CancellationToken cancel)
    {
        PayloadDemoGuest guest = DemoGuests.Shared;
        Step($"virsh suspend {guest.Name}");
        await Host.RunAsync($"virsh --quiet suspend {guest.Name}", cancel);
        bool paused = await UntilAsync(
            () => Task.FromResult(StatusOf(guest)?.State == TieringState.Paused), s_followLimit, cancel);
        DomainStatus? before = StatusOf(guest);
        await Task.Delay(TimeSpan.FromSeconds(5), cancel);
        await LookAsync(cancel);
        DomainStatus? after = StatusOf(guest);
        Report(SuspendStops, paused && before?.Rounds == after?.Rounds && before?.DemotedPages == after?.DemotedPages,
            $"{after?.State}, round {before?.Rounds} and 5 s later {after?.Rounds}");

        Step($"virsh resume {guest.Name}");
        await Host.RunAsync($"virsh --quiet resume {guest.Name}", cancel);
        string detail = "";
        bool resumed = await UntilAsync(async () =>
        {
            (bool inPlace, detail) = InPlace(guest, guest.BudgetPages, await Host.PlacementAsync(guest, cancel));
            return inPlace && StatusOf(guest) is { State: TieringState.Tiering } status && status.Rounds > after?.Rounds;
        }, s_followLimit, cancel);
        Report(ResumeGoesOn, resumed, detail);
    }

    private async Task SetBadSizeAsync(CancellationToken cancel)
    {
        PayloadDemoGuest guest = DemoGuests.Percent;
        Step($"virsh metadata {guest.Name} --live: dram=\"lots\"");
        await SetMetadataAsync(guest, "<tiering dram=\"lots\"/>", cancel);
        bool named = await UntilAsync(
            () => Task.FromResult(StatusOf(guest)?.Problems.Any(p => p.Attribute == "dram" && p.Value == "lots") ?? false),
            s_followLimit, cancel);
        (bool inPlace, string detail) = InPlace(guest, guest.BudgetPages, await Host.PlacementAsync(guest, cancel));
        Report(BadSizeChangesNothing, inPlace && StatusOf(guest)?.BudgetBytes == (long)guest.BudgetMebibytes << 20, detail);
        CommandResult tool = await Host.Host.RunAsync("virttier status", cancel: cancel);
        string said = tool.Output.Split('\n').FirstOrDefault(l => l.Contains("dram=\"lots\"", StringComparison.Ordinal),
            "virttier status does not name it").Trim();
        Report(BadSizeIsNamed, named && tool.ExitCode == 1 && said.StartsWith(guest.Name, StringComparison.Ordinal), said);

        await SetMetadataAsync(guest, $"<tiering {guest.Tiering}/>", cancel);
        bool mended = await UntilAsync(() => Task.FromResult(StatusOf(guest)?.Problems.Count == 0), s_followLimit, cancel);
        Report(MendedIsForgotten, mended, mended ? "no problem is shown any more" : "still shown");
    }

    private async Task WeighWritesAsync(CancellationToken cancel)
    {
        PayloadDemoGuest guest = DemoGuests.Percent;
        // Half of the hot set is written, and half of it has room: whichever half is in DRAM now, the other one is to come.
        async Task<double> WrittenShareAsync()
        {
            Placement placement = await Host.PlacementAsync(guest, cancel, guest.Payload.WrittenFrames());
            return placement.HotInDram / (double)placement.Dram;
        }
        double before = await WrittenShareAsync();
        double after = before;
        string weight = before > 0.5 ? "0.25" : "4";
        Step($"virttier.yaml: tiers.write_weight: {weight}, and systemctl reload virttier");
        await Host.ConfigureAsync($"tiers: {{ write_weight: {weight} }}", cancel);
        // Where writes go is learned from samples, of which a slow guest has few: it may take as long as it gets nearer.
        bool weighed;
        double nearest;
        do
        {
            nearest = after;
            weighed = await UntilAsync(
                async () => (after = await WrittenShareAsync()) is var share && (before > 0.5 ? share <= 0.05 : share >= 0.95),
                s_settleLimit, cancel);
        }
        while (!weighed && Math.Abs(after - before) > Math.Abs(nearest - before) + 0.01);
        await Host.ConfigureAsync("", cancel);
        Report(WritesAreWeighed, weighed, string.Create(CultureInfo.InvariantCulture,
            $"a write weighs {weight} reads: pages that it writes fill {before:P1} of its DRAM before, {after:P1} after"));
    }

    private async Task KillAgentAsync(CancellationToken cancel)
    {
        Step("kill -9 the agent");
        await Host.RunAsync("systemctl kill --signal=KILL virttier", cancel);
        int guests = DemoGuests.All.Count;
        bool back = await UntilAsync(() => Task.FromResult(
            Status is not null && Status.Domains.Count(GoesOn) == guests), s_followLimit, cancel);
        string restarts = (await Host.RunAsync("systemctl show --property=NRestarts --value virttier", cancel)).Trim();
        Report(KilledAgentComesBack, back && restarts == "1",
            $"{Status?.Domains.Count(GoesOn) ?? 0} of {guests} guests tiered with the heat they had, {restarts} restart");

        List<string> wrong = [];
        foreach (DemoGuest guest in DemoGuests.All.Where(g => !g.Observed))
        {
            int budget = guest == DemoGuests.Size ? guest.BudgetPages / 2 : guest.BudgetPages;
            string detail = "";
            if (!await UntilAsync(async () =>
            {
                (bool inPlace, detail) = InPlace(guest, budget, await Host.PlacementAsync(guest, cancel));
                return inPlace;
            }, s_followLimit, cancel))
                wrong.Add($"{guest.Name}: {detail}");
        }
        Report(KilledAgentDisturbsNobody, wrong.Count == 0,
            wrong.Count == 0 ? $"{guests - 1} guests as before" : string.Join("; ", wrong));
    }

    // What it learned before the restart counts on.
    private static bool GoesOn(DomainStatus domain) =>
        domain is { State: TieringState.Tiering, Rounds: > 0 } && domain.HeatRounds > domain.Rounds;

    private async Task DestroyAsync(CancellationToken cancel)
    {
        DemoGuest guest = DemoGuests.Observe;
        _destroyed[guest.Name] = await guest.LifeAsync(Host.Host, cancel);
        Step($"virsh destroy {guest.Name}");
        int before = await SamplersAsync(cancel);
        await Host.RunAsync($"virsh --quiet destroy {guest.Name}", cancel);
        int after = before;
        bool gone = await UntilAsync(async () =>
        {
            after = await SamplersAsync(cancel);
            return after == before - 1 && StatusOf(guest) is null;
        }, s_followLimit, cancel);
        Report(DestroyDetaches, gone && before == DemoGuests.All.Count, $"samplers open before: {before}, after: {after}");
    }

    private async Task CloseAccountsAsync(CancellationToken cancel)
    {
        Step("the accounts of the guests");
        await TakeReadingsAsync(cancel);
        foreach (DemoGuest guest in DemoGuests.All.Where(g => !g.Observed))
        {
            (bool held, string detail) = _budgets.Verdict(_pids[guest.Name]);
            Report(Holds(guest), held, detail);
        }
        foreach (DemoGuest guest in DemoGuests.All)
        {
            (long Heartbeats, int Starts, int Damaged) life =
                _destroyed.TryGetValue(guest.Name, out var last) ? last : await guest.LifeAsync(Host.Host, cancel);
            bool samePid = _destroyed.ContainsKey(guest.Name) || await Host.PidAsync(guest, cancel) == _pids[guest.Name];
            Report(Undisturbed(guest), life is { Heartbeats: > 0, Starts: 1, Damaged: 0 } && samePid,
                $"{life.Heartbeats} heartbeats, started {life.Starts} time, {life.Damaged} damaged pages, "
                    + $"{(samePid ? "one process" : "another process")}");
        }
    }

    private async Task StopAgentAsync(CancellationToken cancel)
    {
        Step("systemctl stop virttier");
        await Host.RunAsync("systemctl stop virttier", cancel);
        string users = (await Host.RunAsync("cat /sys/module/kvm_ept_sample/refcnt", cancel)).Trim();
        string running = (await Host.RunAsync("virsh --quiet list --name | grep -c .", cancel)).Trim();
        int guests = DemoGuests.All.Count - 1;
        Report(StopDetaches, users == "0" && running == guests.ToString(CultureInfo.InvariantCulture),
            $"samplers open: {users}; guests running: {running}");
    }

    // The agent samples no more, so the tools may.
    private async Task LookWithoutAgentAsync(CancellationToken cancel)
    {
        PayloadDemoGuest guest = DemoGuests.Size;
        // Its own code is a ROM right below 4 GiB, and always in use.
        HashSet<int> truth = [.. guest.Payload.HotFrames(),
            .. Enumerable.Range(PayloadGuest.FirstRomFrame, PayloadGuest.RomFrames)];

        const int count = 200;
        Step($"virttier sample {guest.Name} --count {count}");
        CommandResult sampled = await Host.Host.RunAsync(
            $"virttier sample {guest.Name} --rate 100 --count {count}", cancel: cancel);
        int[] frames = FramesOf(sampled.Output);
        int hot = frames.Count(guest.Payload.HotFrames().Contains);
        int wrong = frames.Count(f => !truth.Contains(f));
        Report(SamplesAreTrue, frames.Length == count && wrong == 0 && hot > count / 2 && frames.Distinct().Count() > count / 4,
            $"{frames.Length} samples of {frames.Distinct().Count()} pages: {hot} of hot pages, "
                + $"{wrong} of pages not in use {sampled.Error.Trim()}");

        Step($"virttier record {guest.Name}");
        frames = await Host.RecordAsync(guest, seconds: 3, cancel);
        int[] found = [.. frames.Distinct()];
        hot = found.Count(guest.Payload.HotFrames().Contains);
        Report(RecordingIsTrue, hot == guest.Payload.HotFrames().Count && found.All(truth.Contains),
            $"{frames.Length} accesses of {found.Length} pages: {hot} of {guest.Payload.HotFrames().Count} hot pages, "
                + $"{found.Count(f => !truth.Contains(f))} pages not in use");
    }

    /// <summary>The guest frames in the output of <c>virttier sample</c>.</summary>
    internal static int[] FramesOf(string output) =>
        [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(
            line => Convert.ToInt32(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[2], 16))];

    /// <summary>
    /// What a budget promises: with room for the whole hot set, at least 0.99 of it is in DRAM (0.95 where blocks are split);
    /// else at least 0.97 of the budget is used, at least 0.99 of it by hot pages.
    /// </summary>
    private static (bool InPlace, string Detail) InPlace(DemoGuest guest, int budgetPages, Placement placement)
    {
        if (placement.Dram > budgetPages)
            return (false, $"{placement.Dram} pages in DRAM, budget {budgetPages}");
        if (placement.Hot <= budgetPages)
            return (placement.HotShare >= guest.LeastHotShare, placement.ToString());
        double filled = placement.Dram / (double)budgetPages;
        double hot = placement.HotInDram / (double)Math.Max(1, placement.Dram);
        return (filled >= 0.97 && hot >= 0.99, string.Create(CultureInfo.InvariantCulture,
            $"the budget of {budgetPages} pages is smaller than the hot set of {placement.Hot}: {filled:P1} of it filled, "
                + $"{hot:P1} of that with hot pages"));
    }

    private (bool Found, string Detail) HotSetFound(DemoGuest guest)
    {
        int truth = ((PayloadDemoGuest)guest).Payload.HotFrames().Count;
        long reported = (StatusOf(guest)?.HotBytes ?? 0) / PageSizes.PageBytes;
        return (Math.Abs(reported - truth) <= truth / 100, $"{reported} hot pages reported, {truth} there are");
    }

    private static string Settles(DemoGuest guest) => guest.Observed
        ? $"{guest.Name}: its hot pages are found"
        : $"{guest.Name}: hot pages in DRAM within {guest.BudgetMebibytes} MiB";

    private static string Holds(DemoGuest guest) => $"{guest.Name}: no reading above its budget once it was met";

    private static string Undisturbed(DemoGuest guest) => $"{guest.Name}: ran on undisturbed, its memory whole";

    private Task<string> SetMetadataAsync(DemoGuest guest, string element, CancellationToken cancel) =>
        Host.RunAsync(
            $"virsh --quiet metadata {guest.Name} --uri urn:virttier:tiering:1 --key virttier --live --set '{element}'", cancel);

    private async Task<int> SamplersAsync(CancellationToken cancel) =>
        int.Parse(
            await Host.RunAsync("ls -l /proc/$(systemctl show --property=MainPID --value virttier)/fd | grep -c kvm_ept_sample",
                cancel), CultureInfo.InvariantCulture);

    private DomainStatus? StatusOf(DemoGuest guest) => StatusOf(guest.Name);

    protected override async Task LookAsync(CancellationToken cancel)
    {
        await base.LookAsync(cancel);
        await TakeReadingsAsync(cancel);
    }

    private async Task TakeReadingsAsync(CancellationToken cancel)
    {
        foreach (string line in await Host.NewReadingsAsync(cancel))
            _budgets.Take(line);
    }
}
