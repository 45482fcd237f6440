// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>Each daemon may go and come back; the picture is right again.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class DaemonRestartTests : IAsyncLifetime
{
    private PrivateHost _host = null!;
    private WatchedHost _watched = null!;

    public async ValueTask InitializeAsync()
    {
        _host = await PrivateHost.StartAsync("restarts");
        _watched = WatchedHost.Of(_host);
        await CreateAsync("before");
        await _watched.UntilAsync("before", d => d.Process is not null);
    }

    public async ValueTask DisposeAsync()
    {
        await _watched.DisposeAsync();
        await _host.DisposeAsync();
    }

    [Fact]
    public async Task Libvirtd_restarted_and_then_a_domain_started_and_another_changed()
    {
        ProcessIdentity? process = _watched.Find("before")!.Process;
        await _host.Libvirtd.EndAsync();
        await _host.StartLibvirtdAsync();
        await CreateAsync("after");
        await SetDramAsync("before", "16MiB");

        await _watched.UntilAsync("after", d => d is { Process: not null, State: DomainState.Running });
        await _watched.UntilAsync("before", d => d.Settings.Dram == SizeSpec.FromBytes(16 << 20));
        Assert.Equal(process, _watched.Find("before")!.Process);
    }

    [Fact]
    public async Task Libvirtd_killed_while_a_domain_dies()
    {
        await _host.Libvirtd.EndAsync(Daemon.SigKill);
        await _watched.UntilLinkAsync(connected: false);
        Assert.NotNull(_watched.Find("before"));

        Daemon.SignalPid(_watched.Find("before")!.Process!.Value.Pid, Daemon.SigKill);
        await _watched.UntilGoneAsync("before");
        await _host.StartLibvirtdAsync();
        await _watched.UntilLinkAsync(connected: true);
        Assert.Empty(_watched.Monitor.Current.Domains);
    }

    [Fact]
    public async Task Libvirtd_down_for_a_hundred_heartbeats_while_one_domain_lives_and_one_dies()
    {
        const int Heartbeats = 100; // five minutes, with a heartbeat of three seconds
        await using WatchedHost watched = new(_host.Bus.Address, new DomainMonitorOptions
        {
            RunDirectory = _host.RunDirectory,
            Heartbeat = TimeSpan.FromMilliseconds(20),
            ShortestInterval = TimeSpan.FromMilliseconds(20),
        });
        await CreateAsync("dies");
        await watched.UntilAsync("dies", d => d.Process is not null);
        await watched.UntilAsync("before", d => d.Process is not null);
        ProcessIdentity? process = watched.Find("before")!.Process;
        int died = _host.ReadPid("dies");

        await _host.Libvirtd.EndAsync(Daemon.SigKill);
        await watched.UntilLinkAsync(connected: false);
        int calls = watched.Bus.Calls, lines = watched.Log.Lines.Count;
        await Eventually.IsTrue(() => watched.Bus.Calls >= calls + (Heartbeats / 2), watched.ToString);
        Daemon.SignalPid(died, Daemon.SigKill);
        await watched.UntilGoneAsync("dies");
        await Eventually.IsTrue(() => watched.Bus.Calls >= calls + Heartbeats, watched.ToString);
        Assert.Equal(process, watched.Find("before")!.Process);
        Assert.InRange(watched.Log.Lines.Skip(lines).Count(), 1, 3); // that it is gone, with no line a heartbeat

        await _host.StartLibvirtdAsync();
        await watched.UntilLinkAsync(connected: true);
        await CreateAsync("after");
        await watched.UntilAsync("after", d => d.Process is not null);
        Assert.Equal(process, watched.Find("before")!.Process);
        Assert.Equal(["after", "before"], watched.Monitor.Current.Domains.Select(d => d.Name));
    }

    [Fact]
    public async Task Libvirt_dbus_restarted_and_nothing_lost()
    {
        int warningsBefore = _watched.Log.LinesFrom(LogLevel.Warning).Count;
        await _host.LibvirtDbus.EndAsync(Daemon.SigKill);
        await _watched.UntilLinkAsync(connected: false);
        Assert.Equal("libvirt-dbus is not running", _watched.Monitor.Current.Link.Reason);
        Assert.NotNull(_watched.Find("before")!.Process);

        await CreateAsync("meanwhile");
        _host.StartLibvirtDbus();
        await _watched.UntilAsync("meanwhile", d => d.Process is not null);
        await SetDramAsync("meanwhile", "16MiB");
        await _watched.UntilAsync("meanwhile", d => d.Settings.Dram.IsSet);
        Assert.Single(
            _watched.Log.LinesFrom(LogLevel.Warning).Skip(warningsBefore),
            line => line == "libvirt-dbus is not running: waiting");
    }

    [Fact]
    public async Task The_bus_gone_and_back()
    {
        await _host.RestartBusAsync();
        await _watched.UntilLinkAsync(connected: false);
        Assert.NotNull(_watched.Find("before"));
        await _host.LibvirtDbus.EndAsync();
        await _host.Libvirtd.EndAsync(); // both end by themselves when their bus goes, sooner or later
        await _host.StartLibvirtdAsync();
        _host.StartLibvirtDbus();

        await CreateAsync("after");
        await _watched.UntilAsync("after", d => d.Process is not null);
        Assert.NotNull(_watched.Find("before"));
    }

    [Fact]
    public async Task A_monitor_started_when_domains_run_already_finds_them()
    {
        await using WatchedHost second = WatchedHost.Of(_host);
        await second.UntilAsync("before", d => d.Process == _watched.Find("before")!.Process);
    }

    private Task CreateAsync(string name) => _host.CreateAsync(new TestDomain(name));

    private Task SetDramAsync(string name, string dram) => _host.SetMetadataAsync(name, $"<tiering dram='{dram}'/>");
}
