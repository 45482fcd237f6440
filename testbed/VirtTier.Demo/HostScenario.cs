// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Status;
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>What is tried with guests on a host of a certain kind, and judged by the kernel's word on each page and by what
/// the guests say is hot.</summary>
internal abstract class HostScenario(DemoHost host, IDemoView view)
{
    /// <summary>The share of hot pages that must be where they belong.</summary>
    protected const double RightShare = 0.95;

    /// <summary>What is hot by the guests' word is not all that they ever touch: pages that may do otherwise, as a share of the
    /// hot ones.</summary>
    protected const double StrayShare = 0.05;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan s_pause = TimeSpan.FromSeconds(2);

    private readonly List<Check> _checks = [];

    protected DemoHost Host { get; } = host;

    /// <summary>What the agent said last; null while it says nothing.</summary>
    protected AgentStatus? Status { get; private set; }

    /// <summary>The names of all its checks, in their order.</summary>
    protected abstract IReadOnlyList<string> Names { get; }

    /// <summary>Runs it on a host that is up, with VirtTier installed.</summary>
    /// <returns>Every check, those that were not reached as failed.</returns>
    public async Task<IReadOnlyList<Check>> RunAsync(CancellationToken cancel)
    {
        try
        {
            await PlayAsync(cancel);
        }
        catch (TestbedException e)
        {
            Report("the demo came to its end", false, e.Message);
        }
        foreach (string name in Names.Where(name => _checks.All(c => c.Name != name)))
            _checks.Add(new Check(name, false, "not reached"));
        return _checks;
    }

    protected abstract Task PlayAsync(CancellationToken cancel);

    protected void Step(string what) => view.Step(what);

    protected async Task StartAsync(BudgetedGuest guest, CancellationToken cancel)
    {
        Step($"virsh start {guest.Name} ({guest.Payload.MemoryMebibytes} MiB, CPUs {guest.Payload.Cpus})");
        await Host.Host.StartAsync(guest.Payload, $"dram=\"{guest.BudgetMebibytes}MiB\"", guest.HugePages, cancel);
    }

    /// <summary>Puts a guest's virtual CPU on a processor of a socket, as the scheduler might: on two sockets, guests' processors
    /// are 1 and 2, one on each.</summary>
    protected Task<string> RunOnAsync(BudgetedGuest guest, int socket, CancellationToken cancel) => Host.RunAsync(
        $"""
        for thread in /proc/$(cat /run/libvirt/qemu/{guest.Name}.pid)/task/*; do
            if grep -q '^CPU 0/KVM' $thread/comm; then taskset -pc {socket + 1} $(basename $thread); fi
        done
        """, cancel);

    /// <summary>Puts a guest's virtual CPU on another socket; reports whether its hot pages follow to that socket's fast node,
    /// which has its number, and no others.</summary>
    protected async Task FollowAsync(
        BudgetedGuest guest, int socket, string followed, string onlyHot, CancellationToken cancel)
    {
        byte[] before = await guest.NodesAsync(Host, cancel);
        Step($"{guest.Name}'s virtual CPU goes to socket {socket}");
        await RunOnAsync(guest, socket, cancel);
        HostClock clock = await Host.Host.ClockAsync(cancel);
        byte[] after = before;
        await UntilAsync(async () =>
        {
            after = await guest.NodesAsync(Host, cancel);
            return guest.HotShare(after, _ => socket) >= RightShare;
        }, cancel);
        ReportHot(followed, guest, after, _ => socket, string.Create(
            CultureInfo.InvariantCulture, $" after {clock.Elapsed.TotalSeconds:0} s"));
        int[] crossed = [.. Crossed(before, after)];
        int cold = crossed.Count(frame => !guest.Hot.Contains(frame));
        Report(onlyHot, cold <= guest.Hot.Count * StrayShare, $"{crossed.Length} pages crossed, {cold} of them not hot");
    }

    /// <summary>The frames that changed their socket; nodes of socket 0 have even numbers.</summary>
    protected static IEnumerable<int> Crossed(byte[] before, byte[] after) => Enumerable.Range(0, before.Length).Where(
        frame => before[frame] < 4 && after[frame] < 4 && before[frame] % 2 != after[frame] % 2);

    protected DomainStatus? StatusOf(string guest) => Status?.Domains.FirstOrDefault(d => d.Name == guest);

    /// <summary>Asks the agent, and shows what it says.</summary>
    protected virtual async Task LookAsync(CancellationToken cancel)
    {
        Status = await Host.StatusAsync(cancel);
        if (Status is not null)
            view.Show(Status);
    }

    /// <summary>Looks again and again.</summary>
    /// <returns>Whether it came in time.</returns>
    protected Task<bool> UntilAsync(Func<Task<bool>> condition, CancellationToken cancel) =>
        UntilAsync(condition, s_limit, cancel);

    /// <summary>Looks again and again.</summary>
    /// <param name="condition">What is waited for.</param>
    /// <param name="limit">For how long, in the time that the host had (<see cref="HostClock"/>). It is some ten times slower
    /// than a real one, and so is the agent in it.</param>
    /// <param name="cancel">Ends it.</param>
    /// <returns>Whether it came in time.</returns>
    protected async Task<bool> UntilAsync(Func<Task<bool>> condition, TimeSpan limit, CancellationToken cancel)
    {
        HostClock clock = await Host.Host.ClockAsync(cancel);
        while (true)
        {
            await LookAsync(cancel);
            if (await condition())
                return true;
            if (clock.Elapsed > limit)
                return false;
            await Task.Delay(s_pause, cancel);
        }
    }

    protected void Report(string name, bool passed, string detail)
    {
        Check check = new(name, passed, detail);
        _checks.Add(check);
        view.Show(check);
    }

    protected void ReportHot(string name, BudgetedGuest guest, byte[] nodes, Func<int, int> nodeOf, string after = "")
    {
        double share = guest.HotShare(nodes, nodeOf);
        Report(name, share >= RightShare, string.Create(
            CultureInfo.InvariantCulture, $"{share:P2} of {guest.Hot.Count} hot pages{after}; {Describe(nodes)}"));
    }

    protected async Task ReportUndisturbedAsync(string name, IEnumerable<BudgetedGuest> guests, CancellationToken cancel)
    {
        List<string> lives = [];
        bool whole = true;
        foreach (BudgetedGuest guest in guests)
        {
            PayloadLog log = await Host.Host.LogOfAsync(guest.Payload, cancel);
            whole &= log is { Starts: 1, Heartbeats: > 0, DamagedPages: 0 };
            lives.Add($"{guest.Name} {log.Heartbeats} heartbeats, {log.DamagedPages} damaged pages");
        }
        Report(name, whole, string.Join(", ", lives));
    }

    protected static string Describe(byte[] nodes) => string.Join(", ",
        nodes.Where(node => node != byte.MaxValue).CountBy(node => node).OrderBy(on => on.Key)
            .Select(on => $"node {on.Key}: {on.Value} pages"));
}
