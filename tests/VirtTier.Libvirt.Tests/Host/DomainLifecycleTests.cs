// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>What happens to real domains under a real libvirtd is in the picture, and soon.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class DomainLifecycleTests
{
    [Fact]
    public async Task A_domain_appears_with_its_process_pauses_resumes_and_goes()
    {
        await using PrivateHost host = await PrivateHost.StartAsync("lifecycle");
        await using WatchedHost watched = WatchedHost.ByHintsOf(host);
        await watched.UntilLinkAsync(connected: true);
        TestDomain domain = new("web1") { Metadata = TestDomain.MetadataOf("dram='50%'") };
        await host.CreateAsync(domain);

        await watched.UntilAsync("web1", d => d is { State: DomainState.Running, Process: not null });
        RunningDomain found = watched.Find("web1")!;
        Assert.Equal(host.ReadPid("web1"), found.Process!.Value.Pid);
        Assert.Equal(domain.Uuid, found.Uuid);
        Assert.Equal(64ul << 20, found.MemoryBytes);
        Assert.Equal(Settings.SizeSpec.FromPercent(50), found.Settings.Dram);

        await host.VirshAsync("suspend", "web1");
        await watched.UntilAsync("web1", d => d.State == DomainState.Paused);
        await host.VirshAsync("resume", "web1");
        await watched.UntilAsync("web1", d => d.State == DomainState.Running);
        await host.VirshAsync("destroy", "web1");
        await watched.UntilGoneAsync("web1");
    }

    [Fact]
    public async Task A_killed_qemu_is_noticed_while_libvirtd_cannot_say_so()
    {
        await using PrivateHost host = await PrivateHost.StartAsync("killed");
        await using WatchedHost watched = WatchedHost.ByHintsOf(host);
        await host.CreateAsync(new TestDomain("web1"));
        await watched.UntilAsync("web1", d => d.Process is not null);

        // With the hints of its start over, libvirtd stopped and no heartbeat, only the pidfd can tell.
        await Task.Delay(TimeSpan.FromSeconds(1), TestContext.Current.CancellationToken);
        host.Libvirtd.Signal(Daemon.SigStop);
        Daemon.SignalPid(watched.Find("web1")!.Process!.Value.Pid, Daemon.SigKill);
        await watched.UntilGoneAsync("web1");
        host.Libvirtd.Signal(Daemon.SigCont);
        await host.CreateAsync(new TestDomain("later")); // by when libvirtd knows as well
        await watched.UntilAsync("later", d => d.Process is not null);
        Assert.Single(
            watched.Log.Lines,
            line => line.Contains("Domain web1", StringComparison.Ordinal) && line.EndsWith(" runs", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Two_hosts_side_by_side_do_not_see_each_others_domains()
    {
        await using PrivateHost left = await PrivateHost.StartAsync("left");
        await using PrivateHost right = await PrivateHost.StartAsync("right");
        await using WatchedHost watchedLeft = WatchedHost.ByHintsOf(left);
        await using WatchedHost watchedRight = WatchedHost.ByHintsOf(right);
        await left.CreateAsync(new TestDomain("a"));
        await right.CreateAsync(new TestDomain("b"));
        await watchedLeft.UntilAsync("a", d => d.Process is not null);
        await watchedRight.UntilAsync("b", d => d.Process is not null);

        Assert.Equal(["a"], watchedLeft.Monitor.Current.Domains.Select(d => d.Name));
        Assert.Equal(["b"], watchedRight.Monitor.Current.Domains.Select(d => d.Name));
    }
}
