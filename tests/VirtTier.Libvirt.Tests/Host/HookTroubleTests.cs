// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>Hooks of libvirt that fail or hang, and what the picture is meanwhile and afterwards.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class HookTroubleTests : IAsyncLifetime
{
    private PrivateHost _host = null!;
    private WatchedHost _watched = null!;

    public async ValueTask InitializeAsync()
    {
        _host = await PrivateHost.StartAsync("hooks");
        _watched = WatchedHost.Of(_host);
        await _watched.UntilLinkAsync(connected: true);
    }

    public async ValueTask DisposeAsync()
    {
        await _watched.DisposeAsync();
        await _host.DisposeAsync();
    }

    [Fact]
    public async Task A_start_that_a_hook_refuses_leaves_nothing()
    {
        await _host.InstallHookAsync("[ \"$2\" != started ]\n");
        await _watched.UntilLinkAsync(connected: true);
        string xml = await _host.WriteFileAsync("web1.xml", new TestDomain("web1").ToXml());
        (int exitCode, _) = await _host.TryVirshAsync("create", xml);
        Assert.NotEqual(0, exitCode);
        await _watched.UntilGoneAsync("web1");
        Assert.True(_watched.Monitor.Current.Link.Connected);
    }

    [Fact]
    public async Task A_hook_that_hangs_hides_no_domain_that_runs_and_what_it_held_up_follows()
    {
        await _host.CreateAsync(new TestDomain("before"));
        await _watched.UntilAsync("before", d => d.Process is not null);
        ProcessIdentity? process = _watched.Find("before")!.Process;
        string release = await _host.WriteFileAsync("release", "") + "d";
        await _host.InstallHookAsync($"[ \"$1/$2\" = slow/prepare ] && while [ ! -e {release} ]; do sleep 0.1; done\nexit 0\n");
        await _watched.UntilAsync("before", d => d.Process == process);

        Task start = _host.CreateAsync(new TestDomain("slow"));
        await Eventually.IsTrue(
            () => _watched.Monitor.Current.Link.Reason?.Contains("hooks may be blocked", StringComparison.Ordinal) == true,
            _watched.ToString);
        Assert.Equal(process, _watched.Find("before")!.Process);
        await _host.WriteFileAsync("released", "");
        await start;
        await _watched.UntilAsync("slow", d => d is { Process: not null, State: DomainState.Running });
        Assert.Equal(process, _watched.Find("before")!.Process);
    }
}
