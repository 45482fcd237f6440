// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>The real systemd-machined, to which libvirtd registers its domains: with it, without it,
/// and while it comes and goes.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class RealMachinedTests : IAsyncLifetime
{
    private PrivateHost _host = null!;
    private SystemdDouble _systemd = null!;
    private WatchedHost _watched = null!;

    public async ValueTask InitializeAsync()
    {
        _host = await PrivateHost.StartAsync("machined");
        _systemd = new SystemdDouble(_host.Bus.Address);
        await _host.StartMachinedAsync();
        _watched = WatchedHost.Of(_host);
        await _watched.UntilLinkAsync(connected: true);
    }

    public async ValueTask DisposeAsync()
    {
        await _watched.DisposeAsync();
        await _host.DisposeAsync();
        await _systemd.DisposeAsync();
    }

    [Fact]
    public async Task A_domain_registered_with_machined_has_its_process_and_goes()
    {
        await _host.CreateAsync(new TestDomain("web1"));
        Assert.Single(_systemd.Units); // libvirtd did ask machined
        await UntilRunsAsync("web1");

        // Without the pid files, machined alone leads to it.
        await using (WatchedHost byMachined = new(_host.Bus.Address, new DomainMonitorOptions { RunDirectory = "/nonexistent" }))
            await byMachined.UntilAsync("web1", d => d.Process == _watched.Find("web1")!.Process);

        await _host.VirshAsync("destroy", "web1");
        await _watched.UntilGoneAsync("web1");
        await Eventually.IsTrue(() => _systemd.Units.Count == 0, () => "the scope stays");
    }

    [Fact]
    public async Task Machined_restarted_or_gone_makes_no_difference()
    {
        await _host.CreateAsync(new TestDomain("before"));
        ProcessIdentity process = await UntilRunsAsync("before");

        await _host.Machined!.EndAsync(Daemon.SigKill);
        Task<ProcessIdentity> meanwhile = CreateAndWaitAsync("meanwhile"); // libvirtd may wait for machined
        await _host.StartMachinedAsync();
        await meanwhile;
        await CreateAndWaitAsync("after");
        Assert.Equal(process, _watched.Find("before")!.Process);

        await _host.VirshAsync("destroy", "before");
        await _watched.UntilGoneAsync("before");
    }

    [Theory]
    [InlineData("machined, libvirtd, libvirt-dbus, agent")]
    [InlineData("agent, libvirt-dbus, libvirtd, machined")]
    [InlineData("libvirtd, agent, machined, libvirt-dbus")]
    [InlineData("libvirt-dbus, machined, agent, libvirtd")]
    public async Task All_killed_and_restarted_in_any_order(string order)
    {
        await _host.CreateAsync(new TestDomain("lives"));
        await _host.CreateAsync(new TestDomain("dies"));
        ProcessIdentity process = await UntilRunsAsync("lives"), died = await UntilRunsAsync("dies");
        foreach (string daemon in order.Split(", "))
        {
            switch (daemon)
            {
                case "machined":
                    await _host.Machined!.EndAsync(Daemon.SigKill);
                    await _host.StartMachinedAsync();
                    break;
                case "libvirtd":
                    await _host.Libvirtd.EndAsync(Daemon.SigKill);
                    Daemon.SignalPid(died.Pid, Daemon.SigKill); // while nobody can tell
                    await _host.StartLibvirtdAsync();

                    // libvirtd 9.0 asks machined while it takes its domains over again, and ends a domain itself ("shutting down,
                    // reason=daemon") when machined goes before it has answered. A job on the domain waits until that is over.
                    await _host.VirshAsync("dommemstat", "lives");
                    break;
                case "libvirt-dbus":
                    await _host.LibvirtDbus.EndAsync(Daemon.SigKill);
                    _host.StartLibvirtDbus();
                    break;
                default:
                    await _watched.DisposeAsync();
                    _watched = WatchedHost.Of(_host);
                    break;
            }
        }

        await _host.CreateAsync(new TestDomain("after"));
        await UntilRunsAsync("after");
        await _watched.UntilGoneAsync("dies");
        await _watched.UntilAsync("lives", d => d.Process == process);
        Assert.Equal(["after", "lives"], _watched.Monitor.Current.Domains.Select(d => d.Name));
    }

    private async Task<ProcessIdentity> CreateAndWaitAsync(string name)
    {
        (int exitCode, _) = await _host.TryVirshAsync(
            "create", await _host.WriteFileAsync(name + ".xml", new TestDomain(name).ToXml()));
        return exitCode == 0 ? await UntilRunsAsync(name) : default;
    }

    private async Task<ProcessIdentity> UntilRunsAsync(string name)
    {
        await _watched.UntilAsync(name, d => d is { Process: not null, State: DomainState.Running });
        Assert.Equal(_host.ReadPid(name), _watched.Find(name)!.Process!.Value.Pid);
        return _watched.Find(name)!.Process!.Value;
    }
}
