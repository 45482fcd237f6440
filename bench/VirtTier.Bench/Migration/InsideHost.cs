// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Primitives;

namespace VirtTier.Bench.Migration;

/// <summary>
/// What migration costs, on a host with two NUMA nodes: throughput against the barest C loop over move_pages(2) on the same
/// pages, how well a rate is kept, and what a guest notices.
/// </summary>
internal static class InsideHost
{
    public const string Verb = "migration-inside";
    public const string BareMover = "bare-mover";

    private const int FastNode = 0;
    private const int SlowNode = 1;
    private const int PagesInMebibyte = (1 << 20) / PageSizes.PageBytes;
    private const int Rounds = 40;
    private const int WarmUps = 300;

    // The agent's default for one domain: docs/configuration.md, migration.domain_rate.
    private const long DefaultRate = 200 << 20;

    // Likewise migration.domain_cpu, in nanoseconds of a second.
    private const long DefaultWork = 40_000_000;

    // Short spans that take turns: what else the machine does meets both kinds.
    private const int Spans = 25;
    private static readonly TimeSpan s_span = TimeSpan.FromSeconds(4);

    // Bytes that a real machine moves in a second: LKML 2026, on a Zen 3. An emulated one gets the agent's time for a call times
    // what it is slower, so that a call does as much there as it does here.
    private const double RealSmall = 3.3e9;
    private const double RealLarge = 11e9;

    private static readonly int[] s_batches = [16, 64, 256, 1024, 4096, 16384];

    public static async Task<int> RunAsync(int guestPid, int guestMebibytes, string guestLog)
    {
        File.WriteAllText("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
        // The bare loop, a child, then moves on the same CPU as the mover: two CPUs of an emulated host are seldom equally fast.
        // The guest has the other one.
        Shell("taskset", $"--all-tasks --cpu-list --pid 0 {Environment.ProcessId}");
        BarTable bars = new();
        // The guest would take a CPU from the first two.
        Shell("virsh", "--quiet suspend bench");
        bars.AtLeast("4 KiB pages: throughput, of a bare loop with the best batch size",
            await ThroughputAsync("anon", 64, PageSizes.PageBytes), 0.95);
        bars.AtLeast("2 MiB pages: throughput, of a bare loop with the best batch size",
            await ThroughputAsync("thp", 128, 2 << 20), 0.95);
        await RateAsync(bars);
        Shell("virsh", "--quiet resume bench");
        bars.AtLeast("guest progress while its cold half is demoted at the default rate",
            await ProgressAsync(guestPid, guestMebibytes, guestLog), 0.95);
        return bars.Print();
    }

    private static async Task<double> ThroughputAsync(string kind, int mebibytes, int pageBytes)
    {
        using Holder holder = Holder.Start(kind, mebibytes);
        int count = mebibytes * PagesInMebibyte / (pageBytes / PageSizes.PageBytes);
        int pagesEach = pageBytes / PageSizes.PageBytes;
        PageRun[] runs = [.. Enumerable.Range(0, count).Select(i => new PageRun(i * pagesEach, pagesEach))];

        Say($"{kind}: {mebibytes} MiB written; looking for the best batch of the bare loop");
        int best = s_batches.MinBy(batch => Bare(batch, SlowNode) + Bare(batch, FastNode));
        double speed = ((long)mebibytes << 21) / (Bare(best, SlowNode) + Bare(best, FastNode));
        TimeSpan usual = new PageMoverOptions().CallTimeLimit;
        TimeSpan limit = usual * Math.Max(1, (pageBytes == PageSizes.PageBytes ? RealSmall : RealLarge) / speed);
        Say($"{kind}: {best} addresses a call, {speed / (1 << 20):F0} MiB/s: our calls may take {limit.TotalMilliseconds:F0} ms");
        PageMover mover = new(new LinuxNumaCalls(), new PageMoverOptions { CallTimeLimit = limit }, TimeProvider.System);
        MoveTarget memory = mover.Target(holder.Pid, holder.Layout);

        // An agent runs for months: short moves let the compiler see what is worth its while, and a pause lets it work, for it
        // has the mover's CPU. Then the batch size and the kernel's lists warm up.
        PageRun[] few = runs[..Math.Max(1, count / 256)];
        for (int i = 0; i < WarmUps; i++)
            await mover.MoveAsync(memory, few, i % 2 == 0 ? SlowNode : FastNode, CancellationToken.None);
        await Task.Delay(TimeSpan.FromSeconds(3));
        await MoveAsync(SlowNode);
        await MoveAsync(FastNode);
        await MoveAsync(SlowNode);

        // Each round is one way and back by each of the two, and the median of the rounds counts: what else the machine does
        // meets some of them only.
        Bare(best, FastNode);
        double[] ratios = new double[Rounds];
        double bare = 0;
        double ours = 0;
        TimeSpan inCallsBefore = memory.Counters.CallTime;
        long callsBefore = memory.Counters.Calls;
        for (int round = 0; round < Rounds; round++)
        {
            double mine = await MoveAsync(SlowNode);
            double theirs = Bare(best, FastNode) + Bare(best, SlowNode);
            mine += await MoveAsync(FastNode);
            ratios[round] = theirs / mine;
            ours += mine;
            bare += theirs;
        }
        double mebibytesMoved = 2.0 * Rounds * mebibytes;
        Say($"{kind}: {mebibytesMoved / ours:F0} MiB/s; bare loop, {best} addresses a call: {mebibytesMoved / bare:F0} MiB/s");
        double inCalls = (memory.Counters.CallTime - inCallsBefore).TotalSeconds / ours;
        Say($"{kind}: {memory.Counters.Calls - callsBefore} calls, {inCalls:P1} of the time in them");
        Array.Sort(ratios);
        Say($"{kind}: {ratios[0]:F3} to {ratios[^1]:F3} of it in {Rounds} rounds");
        return ratios[Rounds / 2];

        double Bare(int batch, int node) => double.Parse(
            Shell($"./{BareMover}", $"move {holder.Pid} {holder.Address:x} {count} {pageBytes} {batch} {node}"),
            CultureInfo.InvariantCulture) / 1e9;

        async Task<double> MoveAsync(int node)
        {
            long start = Stopwatch.GetTimestamp();
            MoveReport report = await mover.MoveAsync(memory, runs, node, CancellationToken.None);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            return report.Moved == (long)mebibytes * PagesInMebibyte
                ? seconds
                : throw new InvalidOperationException(
                    $"{kind}: only {report.Moved} of {mebibytes * PagesInMebibyte} pages moved: {report.Problem}");
        }
    }

    /// <summary>The traffic of every ten seconds of half a minute, against the rate asked for.</summary>
    private static async Task RateAsync(BarTable bars)
    {
        // So low that an emulated host can keep it.
        const long rate = 8 << 20;
        using Holder holder = Holder.Start("anon", 64);
        PageMover mover = new(new LinuxNumaCalls(), new PageMoverOptions { BytesPerSecond = rate }, TimeProvider.System);
        MoveTarget memory = mover.Target(holder.Pid, holder.Layout);
        PageRun[] pages = [.. Enumerable.Range(0, 64 * PagesInMebibyte).Select(page => new PageRun(page, 1))];
        using CancellationTokenSource end = new();
        Say($"rate: half a minute at {rate >> 20} MiB/s");
        Task work = MoveToAndFroAsync(mover, memory, pages, end.Token);
        List<(double Time, long Bytes)> readings = [];
        long start = Stopwatch.GetTimestamp();
        for (double time = 0; time < 30; time = Stopwatch.GetElapsedTime(start).TotalSeconds)
        {
            readings.Add((time, memory.Counters[MoveOutcome.Moved] * PageSizes.PageBytes));
            await Task.Delay(100);
        }
        await end.CancelAsync();
        await work;
        List<double> ratios = [];
        int last = 0;
        for (int first = 0; first < readings.Count; first++)
        {
            while (last < readings.Count && readings[last].Time - readings[first].Time < 10)
                last++;
            if (last == readings.Count)
                break;
            ratios.Add((readings[last].Bytes - readings[first].Bytes) / (readings[last].Time - readings[first].Time) / rate);
        }
        Say($"rate: {ratios.Count} windows of 10 s, {ratios.Min():F3} to {ratios.Max():F3} of what was asked");
        bars.AtLeast("least traffic of any 10 s, of the rate asked for", ratios.Min(), 0.95);
        bars.AtMost("most traffic of any 10 s, of the rate asked for", ratios.Max(), 1.05);
    }

    /// <summary>Heartbeats of the guest in spans with demotion against spans without, which take turns. An emulated host may not
    /// be through with the cold half for many minutes, so a span ends after a while in any case.</summary>
    private static async Task<double> ProgressAsync(int pid, int mebibytes, string log)
    {
        GuestLayout layout = GuestLayout.FromMemslots(
            [new Memslot(0, FindMemory(pid, mebibytes), (ulong)(mebibytes * PagesInMebibyte))]);
        int half = layout.PageCount / 2;
        PageRun[] cold = [.. Enumerable.Range(half, half).Select(page => new PageRun(page, 1))];
        PageMover mover = new(new LinuxNumaCalls(), new PageMoverOptions(), TimeProvider.System);
        MoveTarget memory = mover.Target(pid, layout);
        double[] ratios = new double[Spans];
        double undisturbed = 0;
        double disturbed = 0;
        double demoting = 0;
        long demoted = 0;
        int moved = half;
        for (int round = 0; round < Spans; round++)
        {
            if (round % 5 == 0)
                Say($"guest: span {round + 1} of {Spans}");
            memory.Rate.PerSecond = memory.Work.PerSecond = 0;
            await mover.MoveAsync(memory, cold.AsMemory(0, moved), FastNode, CancellationToken.None);

            memory.Rate.PerSecond = DefaultRate;
            memory.Work.PerSecond = DefaultWork;
            // Either comes first in every other pair: moving all of it back leaves its mark on what follows.
            double calm = round % 2 == 0 ? await RestAsync() : 0;
            (double beats, double seconds) = await BeatsAsync(log, DemoteAsync);
            calm = round % 2 == 0 ? calm : await RestAsync();
            demoting += seconds;
            ratios[round] = beats / seconds / calm;
            disturbed += beats / seconds / Spans;
            undisturbed += calm / Spans;
        }
        Array.Sort(ratios);
        double rate = demoted / demoting / PagesInMebibyte;
        Say($"guest: {undisturbed:F1} heartbeats a second undisturbed, {disturbed:F1} while {rate:F0} MiB/s were demoted");
        string all = $"{ratios[0]:F3} to {ratios[^1]:F3}";
        string middle = $"{ratios[Spans / 4]:F3} to {ratios[Spans - 1 - (Spans / 4)]:F3}";
        Say($"guest: {all} of undisturbed in {Spans} pairs of spans, half of them {middle}");
        return ratios[Spans / 2];

        async Task<double> RestAsync()
        {
            (double beats, double seconds) = await BeatsAsync(log, () => Task.Delay(s_span));
            return beats / seconds;
        }

        async Task DemoteAsync()
        {
            using CancellationTokenSource end = new(s_span);
            moved = (int)(await mover.MoveAsync(memory, cold, SlowNode, end.Token)).Moved;
            demoted += moved;
        }
    }

    private static async Task<(double Beats, double Seconds)> BeatsAsync(string log, Func<Task> during)
    {
        long before = new FileInfo(log).Length;
        long start = Stopwatch.GetTimestamp();
        await during();
        return (new FileInfo(log).Length - before, Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    private static async Task MoveToAndFroAsync(PageMover mover, MoveTarget memory, PageRun[] pages, CancellationToken end)
    {
        for (int node = SlowNode; !end.IsCancellationRequested; node = FastNode + SlowNode - node)
        {
            // In short orders: a guest's counters grow with each order that is done.
            foreach (PageRun[] order in pages.Chunk(64))
                await mover.MoveAsync(memory, order, node, end);
        }
    }

    /// <summary>The guest's RAM: the one mapping of QEMU's that has its size.</summary>
    private static ulong FindMemory(int pid, int mebibytes)
    {
        foreach (string line in File.ReadLines($"/proc/{pid}/maps"))
        {
            string[] range = line[..line.IndexOf(' ', StringComparison.Ordinal)].Split('-');
            ulong start = ulong.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
            if (ulong.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture) - start == (ulong)mebibytes << 20)
                return start;
        }
        throw new InvalidOperationException($"process {pid} has no mapping of {mebibytes} MiB");
    }

    private static string Shell(string program, string arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output
            : throw new InvalidOperationException($"{program} {arguments}: exit code {process.ExitCode}");
    }

    private static void Say(FormattableString line) =>
        Console.WriteLine($"{DateTime.UtcNow:HH:mm:ss} {line.ToString(CultureInfo.InvariantCulture)}");

    /// <summary>A process that holds memory on the fast node.</summary>
    private sealed class Holder : IDisposable
    {
        private readonly Process _process;

        private Holder(Process process, ulong address, int mebibytes)
        {
            _process = process;
            Address = address;
            Layout = GuestLayout.FromMemslots([new Memslot(0, address, (ulong)(mebibytes * PagesInMebibyte))]);
        }

        public int Pid => _process.Id;

        public ulong Address { get; }

        public GuestLayout Layout { get; }

        public static Holder Start(string kind, int mebibytes)
        {
            Process process = Process.Start(new ProcessStartInfo(
                "numactl", $"--membind={FastNode} ./{BareMover} hold {kind} {mebibytes}")
            {
                RedirectStandardOutput = true,
            })!;
            string line = process.StandardOutput.ReadLine()
                ?? throw new InvalidOperationException($"{BareMover} hold {kind} {mebibytes} failed");
            return new Holder(process, ulong.Parse(line, NumberStyles.HexNumber, CultureInfo.InvariantCulture), mebibytes);
        }

        public void Dispose()
        {
            _process.Kill();
            _process.WaitForExit();
            _process.Dispose();
        }
    }
}
