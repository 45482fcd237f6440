// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>Several sources, one picture.</summary>
public sealed class HostDomainsTests : IAsyncDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("vt-all-").FullName;
    private readonly FakeLibvirt _libvirt = new();
    private readonly FakeProcesses _processes = new();
    private readonly FakeLog _log = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly HostDomains _domains;
    private readonly Task _run;

    public HostDomainsTests()
    {
        Directory.CreateDirectory(Path.Combine(_root, "run"));
        Directory.CreateDirectory(Path.Combine(_root, "pve"));
        SourceOptions sources = new()
        {
            PidFiles = [At("run/*.pid")],
            Proxmox = true,
            ProxmoxRun = At("pve"),
            ProxmoxConfig = At("pve"),
        };
        DomainMonitorOptions options = new()
        {
            Heartbeat = TimeSpan.FromMilliseconds(20),
            ShortestInterval = TimeSpan.FromMilliseconds(10),
            LookPatience = TimeSpan.FromMilliseconds(300),
        };
        _domains = new(_libvirt.Monitor, _processes, sources, options, TimeProvider.System, _log);
        _run = _domains.RunOthersAsync(_stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _run);
        _domains.Dispose();
        _libvirt.Monitor.Dispose();
        _stop.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public async Task A_process_of_which_two_sources_tell_is_one_domain()
    {
        StartPlain("plain", 10);
        StartPlain("web1", 11);
        _processes.Start(12, At("pve/100.pid"), "/", "kvm", "-id", "100", "-name", "web1");
        _processes.Start(12, At("run/100.pid"), "/", "kvm", "-id", "100", "-name", "web1");
        await UntilAsync(d => d.Domains.Count == 3);
        Assert.False(_domains.Current.IsWhole); // libvirt has not been asked

        FakeDomain ours = _libvirt.StartDomain("web1", 11);
        await _libvirt.LookAsync();
        // Each source looks when it may: for a moment the process can be known by the other one alone.
        await UntilAsync(d => d is { IsWhole: true, Domains.Count: 3 } && d.Domains.Any(domain => domain.Source == "proxmox"));
        Assert.Equal(["libvirt:web1", "proxmox:100", $"qemu:{At("run/plain.pid")}"],
            _domains.Current.Domains.Select(d => d.Key.Full).Order(StringComparer.Ordinal));
        Assert.Equal(ours.Uuid, _domains.Current.Domains.Single(d => d.Source == "libvirt").Uuid);
        Assert.Equal(["proxmox", "qemu"], _domains.Current.Others.Select(o => o.Source));
        Assert.Equal(LibvirtSource.DBus, _domains.Current.Source);
    }

    [Fact]
    public async Task A_source_that_hangs_delays_no_other_and_is_said_to_hang()
    {
        using ManualResetEventSlim over = new();
        _processes.Start(12, At("pve/100.pid"), "/", "kvm", "-id", "100");
        await UntilAsync(d => d.Domains.Count == 1 && d.Others.All(o => o.Link.Connected));
        _processes.Asked = file =>
        {
            if (file.Contains("/pve/", StringComparison.Ordinal))
                over.Wait();
        };
        try
        {
            await UntilAsync(d => d.Others.Any(o => o is { Source: "proxmox", Link.Connected: false }));
            Assert.Contains("has not ended", _domains.Current.Others[0].Link.Reason, StringComparison.Ordinal);
            StartPlain("plain", 10);
            await UntilAsync(d => d.Domains.Count == 2);
            _libvirt.StartDomain("web1", 11);
            await _libvirt.LookAsync();
            await UntilAsync(d => d.Domains.Count == 3);
            Assert.Contains(_domains.Current.Domains, d => d.Id == "100"); // as it was last known
            Assert.False(_domains.Current.IsWhole); // so that nothing of its domains is forgotten
        }
        finally
        {
            over.Set();
        }
        await UntilAsync(d => d.IsWhole);
        Assert.Equal(3, _log.Lines.Count(line => line.StartsWith("proxmox: ", StringComparison.Ordinal))); // looks, hangs, looks
    }

    [Fact]
    public async Task The_first_picture_has_all_that_answer_and_says_which_do_not()
    {
        CancellationToken cancel = TestContext.Current.CancellationToken;
        StartPlain("plain", 10);
        await UntilAsync(d => d.Domains.Any(domain => domain.Name == "plain")); // the first look may have been before it
        Task<DomainSnapshot> first = _domains.FirstPictureAsync(Eventually.Limit, cancel);
        _libvirt.StartDomain("web1", 11);
        await _libvirt.LookAsync();
        DomainSnapshot all = await first;
        Assert.Equal(["plain", "web1"], all.Domains.Select(d => d.Name));
        Assert.True(all.Link.Connected && all.Others.All(other => other.Link.Connected));

        using ManualResetEventSlim over = new();
        _processes.Start(12, At("pve/100.pid"), "/", "kvm", "-id", "100");
        _processes.Asked = file =>
        {
            if (file.Contains("/pve/", StringComparison.Ordinal))
                over.Wait();
        };
        using HostDomains anew = new(new FakeLibvirt().Monitor, _processes, _domains.Sources, new(), TimeProvider.System, _log);
        using CancellationTokenSource stop = new();
        Task run = anew.RunOthersAsync(stop.Token);
        try
        {
            await Eventually.IsTrue(() => anew.Current.Domains.Any(domain => domain.Name == "plain"));
            DomainSnapshot part = await anew.FirstPictureAsync(TimeSpan.FromSeconds(2), cancel);
            Assert.Equal("libvirt has not answered within 2 s", part.Link.Reason);
            Assert.Equal([("proxmox", "a look at proxmox has not answered within 2 s"), ("qemu", null)],
                part.Others.Select(other => (other.Source, other.Link.Reason)));
            Assert.Equal("plain", Assert.Single(part.Domains).Name);
        }
        finally
        {
            over.Set();
            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run);
        }
    }

    [Fact]
    public async Task What_is_no_longer_asked_for_has_no_domains()
    {
        StartPlain("plain", 10);
        await UntilAsync(d => d.Domains.Count == 1);
        _domains.Sources = new();
        await UntilAsync(d => d.Domains.Count == 0 && d.Others.Count == 0);
    }

    private void StartPlain(string name, int pid) =>
        _processes.Start(pid, At($"run/{name}.pid"), "/", "qemu-system-x86_64", "-name", name);

    private string At(string path) => Path.Combine(_root, path);

    /// <summary>Follows the picture until it is as told.</summary>
    private async Task UntilAsync(Func<DomainSnapshot, bool> condition)
    {
        using CancellationTokenSource limit = new(Eventually.Limit);
        for (DomainSnapshot now = _domains.Current; !condition(now);)
            now = await _domains.WaitForChangeAsync(now.Version, limit.Token);
    }
}
