// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Agent.Systemd;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;
using VirtTier.Memory.Processes;

namespace VirtTier.Agent.Tests;

/// <summary>Each kind of loop, hung: it is named, in the log and in the status,
/// and goes on as if nothing had been once it can.</summary>
public sealed class LoopWatchTests : IAsyncDisposable
{
    private readonly FakeHost _host = new();
    private readonly ManualResetEventSlim _free = new(true);
    private readonly CancellationTokenSource _stop = new();
    private readonly Reconciler _reconciler;
    private Task _loop = Task.CompletedTask;

    public LoopWatchTests() => _reconciler = new Reconciler(new AgentConfig(), _host.Context());

    private LoopWatch Watch => _host.Loops;

    public async ValueTask DisposeAsync()
    {
        _free.Set();
        await _stop.CancelAsync();
        await Task.WhenAny(_loop);
        await _reconciler.DisposeAsync();
        _host.Dispose();
        _stop.Dispose();
    }

    [Fact]
    public void One_that_says_nothing_for_its_limit_is_named_once_and_life_is_no_longer_proven()
    {
        WatchedLoop quiet = Watch.Add("dividing", TimeSpan.FromMinutes(1));
        WatchedLoop lively = Watch.Add("following", TimeSpan.FromMinutes(1));
        for (int looks = 0; looks < 12; looks++)
        {
            Assert.Empty(Watch.Look());
            lively.Progress();
        }
        Assert.Equal(["dividing"], Watch.Look());
        lively.Progress();
        Assert.Equal("STATUS=2 domains; hangs: dividing", ServiceManager.ProofOfLife("2 domains", Watch.Look()));
        Assert.Single(
            _host.Log.Lines,
            "dividing: nothing has happened there for 60 s; systemd restarts the agent unless it goes on");

        quiet.Progress();
        Assert.Equal("WATCHDOG=1\nSTATUS=2 domains", ServiceManager.ProofOfLife("2 domains", Watch.Look()));
        Assert.Single(_host.Log.Lines, "dividing: goes on");
    }

    [Fact]
    public void One_that_has_ended_is_no_longer_watched()
    {
        Watch.Add("dividing", TimeSpan.FromMinutes(1)).Dispose();
        LookUntilLate();
        Assert.Empty(Watch.Hung);
    }

    [Fact]
    public async Task One_that_waits_for_an_event_wakes_up_to_say_so()
    {
        ManualTime time = new();
        LoopWatch watch = new(time, _host.Log);
        TaskCompletionSource<int> never = new();
        WatchedLoop idle = watch.Add("following", TimeSpan.FromMinutes(1));
        Task<int> waiting = idle.IdleAsync(never.Task);
        for (int i = 0; i < 100; i++)
        {
            await time.UntilAwaitedAsync(TimeSpan.FromSeconds(15));
            time.Advance(TimeSpan.FromSeconds(15));
            await time.UntilAwaitedAsync(TimeSpan.FromSeconds(15));
            for (int looks = 0; looks < 3; looks++)
                Assert.Empty(watch.Look());
        }
        never.SetResult(5);
        Assert.Equal(5, await waiting);
    }

    [Fact]
    public async Task The_reconciler()
    {
        DomainSnapshot first = Domains.Snapshot(Domains.Running());
        WatchedLoop loop = Watch.Add("following", LoopWatch.UsualLimit);
        long version = 0;
        _loop = Task.Run(() => _reconciler.ReconcileForeverAsync(
            async (_, token) =>
            {
                await Task.Delay(1, token);
                return first with { Version = ++version };
            },
            _ => Hang(), loop, _stop.Token), CancellationToken.None);
        await HangsAsync("following");
    }

    [Fact]
    public async Task The_watch_of_the_hosts_memory()
    {
        HostWatch memory = new(_reconciler, () => { Hang(); return _host.ReadTopology(); }, _host.Time, _host.Log)
        {
            Interval = TimeSpan.FromMilliseconds(20),
        };
        _loop = memory.RunAsync(Watch.Add("memory", LoopWatch.UsualLimit), _stop.Token);
        await HangsAsync("memory");
    }

    [Fact]
    public async Task The_bus()
    {
        FakeBus bus = new() { Answer = _ => { Hang(); throw new BusException(BusException.Disconnected, "away"); } };
        WatchedLoop loop = Watch.Add("answering", LoopWatch.UsualLimit);
        _free.Reset();
        _loop = BusWatch.RunAsync(bus, loop, _host.Time, _stop.Token);
        await HangsAsync("answering");
    }

    [Fact]
    public async Task A_look_at_the_domains()
    {
        FakeBus bus = new() { Answer = _ => { Hang(); throw new BusException(BusException.Disconnected, "away"); } };
        WatchedLoop loop = Watch.Add("watching domains", LoopWatch.UsualLimit);
        using LinuxProcesses processes = new();
        DomainMonitorOptions options = new() { Heartbeat = TimeSpan.FromMilliseconds(20), Progress = loop.Progress };
        using DomainMonitor monitor = new(bus, processes, options, TimeProvider.System, NullLogger<DomainMonitor>.Instance);
        _free.Reset();
        _loop = Task.Run(() => monitor.RunAsync(_stop.Token), CancellationToken.None);
        await HangsAsync("watching domains");
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _loop);
        _loop = Task.CompletedTask;
    }

    [Fact]
    public async Task A_reload_that_waits_for_what_never_comes()
    {
        TaskCompletionSource never = new();
        using ConfigReload reload = new("/nowhere/virttier.yaml", _ => never.Task, Watch, _host.Log);
        Task reloading = reload.RunAsync();
        LookUntilLate();
        Assert.Equal(["reading the configuration again"], Watch.Hung);
        never.SetResult();
        await reloading;
        Assert.Empty(Watch.Look());
    }

    [Fact]
    public async Task A_domain_in_the_kernel()
    {
        _host.BeforeHarvest = Hang;
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running()));
        await Eventually.IsTrue(() => _host.Harvests > 0);
        await HangsAsync("tiering domain web1");
    }

    [Fact]
    public async Task A_domain_that_cannot_be_let_go_of_holds_up_no_other_and_is_taken_up_again_only_after_that()
    {
        using Process other = Process.Start("sleep", "infinity");
        using OnDispose end = new(other.Kill);
        _host.AddProcess(other.Id);
        ProcessIdentity process = new(other.Id, ProcessFacts.ReadStartTime(other.Id));
        RunningDomain stuck = Domains.Running(name: "stuck") with { Process = process };
        await _reconciler.ReconcileAsync(Domains.Snapshot(stuck));
        await Eventually.IsTrue(() => _host.Attached == 1);
        _free.Reset();
        _host.BeforeDetach = number => { if (number == 1) Hang(); };

        await Soon(_reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(name: "a"))));
        await Eventually.IsTrue(() => _host.Attachments == 2);
        await Soon(_reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(name: "a"), stuck)));
        await Soon(_reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(name: "a"), stuck, Domains.Running(name: "b"))));
        await Eventually.IsTrue(() => _host.Attachments == 3);
        Assert.Equal(TieringState.Attaching, _reconciler.Status().Domains.Single(d => d.Name == "stuck").State);
        await HangsAsync("tiering domain stuck");
        await Eventually.IsTrue(() => _host.Attachments == 4 && _host.Attached == 3);

        static Task Soon(Task task) => task.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
    }

    /// <summary>Hangs what runs, sees it named, lets it go on, and sees that all is well.</summary>
    private async Task HangsAsync(string does)
    {
        _free.Reset();
        await Eventually.IsTrue(() =>
        {
            LookUntilLate();
            return Watch.Hung.Contains(does);
        });
        Assert.Contains(does, _reconciler.Status().Hung);
        Assert.Contains(_host.Log.Lines, line => line.StartsWith($"{does}: nothing has happened", StringComparison.Ordinal));
        _free.Set();
        await Eventually.IsTrue(() => !Watch.Look().Contains(does));
    }

    private void Hang() => _free.Wait(CancellationToken.None);

    private void LookUntilLate()
    {
        for (int looks = 0; looks <= LoopWatch.UsualLimit / LoopWatch.Interval + 1; looks++)
            Watch.Look();
    }
}
