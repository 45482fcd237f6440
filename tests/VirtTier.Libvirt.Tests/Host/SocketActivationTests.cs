// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>A daemon that its socket starts, and that ends itself when it has nothing to do, as virtqemud does where it is
/// packaged.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class SocketActivationTests : IAsyncLifetime
{
    private const int Timeout = 3;

    private readonly LinuxProcesses _processes = new();
    private PrivateHost _host = null!;
    private WatchedHost _watched = null!;

    public async ValueTask InitializeAsync()
    {
        HostRing.RequirePrograms("systemd-socket-activate");
        _host = await PrivateHost.StartAsync("socket");
        await _host.LibvirtDbus.EndAsync();
        await _host.Libvirtd.EndAsync();
        _host.ListenForLibvirtd(Timeout);
        _watched = WatchedHost.Of(_host, LibvirtSource.Files);
    }

    public async ValueTask DisposeAsync()
    {
        if (_watched is not null)
            await _watched.DisposeAsync();
        if (_host is not null)
            await _host.DisposeAsync();
        _processes.Dispose();
    }

    [Fact]
    public async Task A_daemon_that_ends_and_is_started_by_its_socket_is_followed_and_not_kept_alive()
    {
        int first = await StartAsync("web1");
        await _watched.UntilAsync("web1", d => d.Process is not null && d.State == DomainState.Running);
        ProcessIdentity web1 = _watched.Find("web1")!.Process!.Value;

        // Killed, which ends no domain: it is away until somebody calls.
        Daemon.SignalPid(first, Daemon.SigKill);
        await _watched.UntilLinkAsync(connected: false);
        Assert.Equal(web1, _watched.Find("web1")!.Process);
        await UntilCalledAsync("list");
        await _watched.UntilLinkAsync(connected: true);
        int second = DriverPid() ?? 0;
        Assert.NotEqual(first, second);
        await _host.SetMetadataAsync("web1", "<tiering shares='7'/>");
        await _watched.UntilAsync("web1", d => d.Settings.Shares == 7 && d.Process == web1);

        // Without a domain it ends by itself, though it is watched; that is nothing to be said.
        await _host.VirshAsync("destroy", "web1");
        await _watched.UntilGoneAsync("web1");
        await Eventually.IsTrue(() => DriverPid() is null, () => $"the daemon is kept alive: {_watched}");
        int said = Lines("libvirt");
        await Task.Delay(2 * new DomainMonitorOptions().Heartbeat, TestContext.Current.CancellationToken);
        Assert.True(_watched.Monitor.Current.Link.Connected);
        Assert.Equal(said, Lines("libvirt"));

        Assert.NotEqual(second, await StartAsync("web2"));
        await _watched.UntilAsync("web2", d => d.Process is not null && d.State == DomainState.Running);

        // With one it stays, though nobody calls.
        int third = DriverPid() ?? 0;
        await Task.Delay(TimeSpan.FromSeconds(2 * Timeout), TestContext.Current.CancellationToken);
        Assert.Equal(third, DriverPid());
        Assert.NotNull(_watched.Find("web2"));
    }

    private async Task<int> StartAsync(string name)
    {
        string file = await _host.WriteFileAsync(name + ".xml", new TestDomain(name).ToXml());
        await UntilCalledAsync("create", file);
        return DriverPid() ?? throw new InvalidOperationException("the daemon that has just answered does not run");
    }

    /// <summary>There is no socket while the one listener follows the other.</summary>
    private Task UntilCalledAsync(params string[] command) => Eventually.IsTrue(
        async () => (await _host.TryVirshAsync(command)).ExitCode == 0, () => $"virsh {string.Join(' ', command)} fails");

    private int? DriverPid() => _processes.FindLockHolder(Path.Combine(_host.RunDirectory, "driver.pid"));

    private int Lines(string text) => _watched.Log.Lines.Count(line => line.Contains(text, StringComparison.Ordinal));
}
