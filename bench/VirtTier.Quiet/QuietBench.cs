// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Pictures;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Linux;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Splitting;

namespace VirtTier.Bench;

/// <summary>
/// What the agent's loops take of a CPU for guests whose pages are where they should be and that do the same all the time,
/// against what it takes to look once where the pages of such a guest are: in one run, so that other work on the machine
/// disturbs both. What the kernel module takes is not in it (<c>make bench-module</c>).
/// </summary>
internal static class QuietBench
{
    private const int Mebibytes = 256;
    private const int Pages = Mebibytes << 8;
    private const int Guests = 10;
    private const int Readings = 20;

    // Two of the longest times from one whole round to the next; rounds come apart to the utmost before.
    private static readonly TimeSpan s_settle = TimeSpan.FromSeconds(45);
    private static readonly TimeSpan s_watch = TimeSpan.FromSeconds(64);

    public static async Task RunAsync(BarTable bars)
    {
        Watched seen = await WatchAsync(Guests, s_settle, s_watch);
        bars.AtMost("CPU of a quiet guest in a second, in looks at where its pages are", seen.Readings, 0.35);
        bars.AtMost("whole rounds, of those that there were without passing any over", seen.RoundShare, 0.2);
        bars.AtMost("pages moved", seen.Moves, 0);
    }

    /// <summary>Watches so many guests, and prints what was seen.</summary>
    /// <param name="guests">How many.</param>
    /// <param name="settle">How long the agent has them before.</param>
    /// <param name="time">How long to watch.</param>
    public static async Task<Watched> WatchAsync(int guests, TimeSpan settle, TimeSpan time)
    {
        using QuietGuest guest = QuietGuest.Start(Mebibytes);
        using QuietKernel kernel = new(guest, Pages);
        Say($"{kernel.FastPages} of {Pages} pages of each guest are on the fast node");
        AgentConfig config = new();
        DomainLoop[] loops = [.. Enumerable.Range(0, guests).Select(Loop(kernel, guest, config))];
        await Task.Delay(settle);
        Reading before = Read();
        await Task.Delay(time);
        Reading seen = Read() - before;
        foreach (DomainLoop loop in loops)
            await loop.DisposeAsync();
        TimeSpan reading = LeastTime(() => new ResidencyReader(kernel, "/proc", kernel.Sysfs).Read(
            guest.Pid, kernel.Layout, 0, new byte[Pages]));
        double share = seen.Cpu / seen.Elapsed;
        Watched watched = new(
            seen.Cpu / guests / seen.Elapsed.TotalSeconds / reading,
            seen.Rounds / guests / (seen.Elapsed / config.Sampling.LongestRound),
            kernel.Moves);
        Say($"{guests} guests: {share:P3} of a CPU, {seen.KernelCpu / seen.Cpu:P0} of it in the kernel");
        double seconds = seen.Elapsed.TotalSeconds;
        Say($"{seen.Harvests / seconds:F1} harvests a second, {seen.Rounds / seconds:F2} rounds");
        Say($"a look at where the pages of one are takes {reading.TotalMilliseconds:F2} ms");
        return watched;

        Reading Read() => new(
            Stopwatch.GetElapsedTime(0), Environment.CpuUsage.TotalTime, Environment.CpuUsage.PrivilegedTime, kernel.Harvests,
            loops.Sum(loop => loop.Status.Rounds));
    }

    // All guests are one process, which is enough for them to be looked at.
    private static Func<int, DomainLoop> Loop(QuietKernel kernel, QuietGuest guest, AgentConfig config)
    {
        ILogger log = NullLogger.Instance;
        string state = Path.Combine(kernel.Sysfs, "state");
        PageMover mover = new(kernel, new PageMoverOptions(), TimeProvider.System);
        DomainLoopContext context = new(
            HostMemory.Read(config, NumaTopology.Read(kernel.Sysfs)),
            kernel,
            mover,
            new PageExchange(mover),
            new RoundScratchPool(() => new ResidencyReader(kernel, "/proc", kernel.Sysfs)),
            config.Sampling,
            new HeatStore(Path.Combine(state, "heat"), log),
            new GuestRecords(new HeatStore(Path.Combine(state, "pictures"), log), TimeProvider.System, log),
            new LoopWatch(TimeProvider.System, log),
            TimeProvider.System,
            log)
        {
            HugePages = new LinuxHugePages(),
            Elsewhere = new MovesElsewhere(mover, TimeProvider.System),
        };
        ProcessIdentity process = new(guest.Pid, ProcessFacts.ReadStartTime(guest.Pid));
        // Some room, or what harvests find by chance would have to go.
        long budget = kernel.FastPages + (kernel.FastPages / 16);
        return number => new DomainLoop(context, process, new DomainOrders(
            new RunningDomain
            {
                Uuid = new Guid(number, 0, 0, new byte[8]),
                Name = $"quiet{number}",
                Process = process,
                State = DomainState.Running,
                MemoryBytes = (ulong)Mebibytes << 20,
                Settings = TieringSettings.Default,
            },
            TieringSettings.Default, budget, new MoveLimits((long)config.DomainRate.BytesPerSecond, config.MoveCpuShare)));
    }

    private static TimeSpan LeastTime(Action action)
    {
        TimeSpan least = TimeSpan.MaxValue;
        for (int i = 0; i < Readings; i++)
        {
            TimeSpan before = Libc.ThreadCpuTime();
            action();
            TimeSpan took = Libc.ThreadCpuTime() - before;
            least = took < least ? took : least;
        }
        return least;
    }

    private static void Say(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    private readonly record struct Reading(TimeSpan Elapsed, TimeSpan Cpu, TimeSpan KernelCpu, long Harvests, double Rounds)
    {
        public static Reading operator -(Reading later, Reading earlier) => new(
            later.Elapsed - earlier.Elapsed, later.Cpu - earlier.Cpu, later.KernelCpu - earlier.KernelCpu,
            later.Harvests - earlier.Harvests, later.Rounds - earlier.Rounds);
    }
}

/// <param name="Readings">CPU time for a guest in a second, in those of looking once where its pages are.</param>
/// <param name="RoundShare">Whole rounds of a guest, of as many as the longest interval allows.</param>
/// <param name="Moves">Pages moved.</param>
internal readonly record struct Watched(double Readings, double RoundShare, long Moves);
