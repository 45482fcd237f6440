// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;
using VirtTier.Libvirt.Settings;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>When the monitor looks: at once on a hint, never more often than it may, and on every heartbeat.</summary>
public sealed class MonitorRunTests : IAsyncDisposable
{
    private static readonly DomainMonitorOptions s_options = new();
    private static readonly TimeSpan s_idle = TimeSpan.FromSeconds(15); // an idle one says that it goes on
    private readonly FakeLibvirt _host = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _run;

    public MonitorRunTests() => _run = _host.Monitor.RunAsync(_stop.Token);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _run);
        _host.Monitor.Dispose();
        _stop.Dispose();
    }

    [Fact]
    public async Task Without_hints_there_is_one_look_a_heartbeat()
    {
        await UntilQuietAsync();
        Assert.Equal(1, Looks);
        for (int looks = 2; looks <= 4; looks++)
        {
            _host.Time.Advance(s_options.Heartbeat);
            await UntilQuietAsync();
            Assert.Equal(looks, Looks);
        }
    }

    [Fact]
    public async Task A_wake_is_followed_at_once_and_a_burst_of_them_by_one_look_more()
    {
        await UntilQuietAsync();
        _host.Monitor.Wake();
        await _host.Time.UntilAwaitedAsync(s_options.ShortestInterval);
        Assert.Equal(2, Looks);

        for (int i = 0; i < 100; i++)
            _host.Monitor.Wake();
        Assert.Equal(2, Looks); // nothing may happen before the clock moves
        _host.Time.Advance(s_options.ShortestInterval);
        await UntilQuietAsync();
        Assert.Equal(3, Looks);
    }

    [Fact]
    public async Task The_end_of_a_process_wakes_it()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await UntilQuietAsync();
        _host.Monitor.Wake();
        await UntilQuietAsync();
        Assert.NotNull(_host.Find("web1"));

        _host.Domains.Remove(domain);
        _host.EndProcess(10);
        await _host.Time.UntilAwaitedAsync(s_options.ShortestInterval);
        Assert.Null(_host.Find("web1"));
    }

    [Fact]
    public async Task A_look_that_fails_unexpectedly_is_logged_and_followed_by_another()
    {
        await UntilQuietAsync();
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        _host.Monitor.Wake();
        await UntilQuietAsync();
        var service = _host.Bus.Services["org.libvirt"];
        _host.Bus.Services["org.libvirt"] = _ => throw new InvalidOperationException("out of everything");
        domain.Metadata = TestDomain.MetadataOf("shares='7'");
        _host.RaiseMetadataChange(domain);
        await UntilQuietAsync();
        Assert.Contains(_host.Log.Lines, line => line.Contains("out of everything", StringComparison.Ordinal));

        _host.Bus.Services["org.libvirt"] = service;
        _host.Time.Advance(s_options.Heartbeat);
        await UntilQuietAsync();
        Assert.Equal(7, _host.Find("web1")!.Settings.Shares); // what the failed look was to read is not forgotten
    }

    [Fact]
    public async Task Told_to_stop_during_a_look_that_fails_it_stops_without_that_error()
    {
        await UntilQuietAsync();
        _host.StartDomain("web1", pid: 10);
        _host.Bus.Services[MachineRegistry.Service] = _ =>
        {
            _stop.Cancel();
            throw new BusException("org.freedesktop.DBus.Error.ServiceUnknown", "machined is not there");
        };
        _host.Monitor.Wake();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _run);
        Assert.DoesNotContain(_host.Log.Lines, line => line.Contains("look at the domains failed", StringComparison.Ordinal));
    }

    [Fact]
    public async Task However_long_the_heartbeat_an_idle_one_says_now_and_then_that_it_goes_on()
    {
        await UntilQuietAsync();
        _host.Monitor.Heartbeat = TimeSpan.FromMinutes(5);
        _host.Monitor.Wake();
        await _host.Time.UntilAwaitedAsync(s_options.ShortestInterval);
        _host.Time.Advance(s_options.ShortestInterval);
        for (int wakes = 0; wakes < 3; wakes++)
        {
            await _host.Time.UntilAwaitedAsync(s_idle);
            int before = _host.Progress;
            _host.Time.Advance(s_idle);
            await _host.Time.UntilAwaitedAsync(s_idle);
            Assert.True(_host.Progress > before);
        }
        Assert.Equal(2, Looks);
    }

    [Fact]
    public async Task A_source_that_nobody_asks_for_is_looked_at_only_when_it_is_woken_or_has_domains_to_forget()
    {
        ManualTime time = new();
        OptionalSource source = new();
        using DomainMonitor monitor = new(_ => source, s_options, time, _host.Log);
        using CancellationTokenSource stop = new();
        Task run = monitor.RunAsync(stop.Token);
        await PassAsync(then: s_idle);
        time.Advance(s_idle);
        await time.UntilAwaitedAsync(s_idle);
        Assert.Equal(1, source.Looks);

        source.Domains = [new RunningDomain
        {
            Uuid = Guid.NewGuid(), Name = "web1", MemoryBytes = 1 << 20, State = DomainState.Running,
            Settings = TieringSettings.Default,
        }];
        source.IsAsked = true;
        monitor.Wake();
        await PassAsync(then: s_options.Heartbeat);
        Assert.Equal(2, source.Looks);

        source.IsAsked = false;
        monitor.Wake();
        await PassAsync(then: s_options.Heartbeat); // its domain is still known
        source.Domains = [];
        time.Advance(s_options.Heartbeat);
        await PassAsync(then: s_idle);
        Assert.Equal(4, source.Looks);

        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);

        async Task PassAsync(TimeSpan then)
        {
            await time.UntilAwaitedAsync(s_options.ShortestInterval);
            time.Advance(s_options.ShortestInterval);
            await time.UntilAwaitedAsync(then);
        }
    }

    private int Looks => _host.CountCalls("ListDomains");

    /// <summary>Lets the shortest interval pass, until the loop waits for hints.</summary>
    private async Task UntilQuietAsync()
    {
        await _host.Time.UntilAwaitedAsync(s_options.ShortestInterval);
        _host.Time.Advance(s_options.ShortestInterval);
        await _host.Time.UntilAwaitedAsync(s_options.Heartbeat);
    }

    private sealed class OptionalSource : IDomainSource
    {
        public bool IsAsked { get; set; }

        public RunningDomain[] Domains { get; set; } = [];

        public int Looks { get; private set; }

        public string Name => "optional";

        public LibvirtSource? Kind => null;

        public RunningDomain[] ToSortedArray() => Domains;

        public void FollowHints()
        {
        }

        public Task LookAsync(PendingWork.Marks marks, CancellationToken cancel)
        {
            Looks++;
            return Task.CompletedTask;
        }

        public void Dispose()
        {
        }
    }
}
