// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>The picture that libvirt's own files give, with no libvirt-dbus: by hints alone, as there is no heartbeat.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class FileSourceOnHostTests : IAsyncLifetime
{
    private PrivateHost _host = null!;
    private WatchedHost _watched = null!;

    public async ValueTask InitializeAsync()
    {
        _host = await PrivateHost.StartAsync("files");
        await _host.LibvirtDbus.EndAsync();
        _watched = WatchedHost.ByHintsOf(_host, LibvirtSource.Files);
        await _watched.UntilLinkAsync(connected: true);
    }

    public async ValueTask DisposeAsync()
    {
        await _watched.DisposeAsync();
        await _host.DisposeAsync();
    }

    [Fact]
    public async Task A_domains_life_is_seen_from_start_to_end()
    {
        await _host.DefineAsync(new TestDomain("web1") { Metadata = TestDomain.MetadataOf("shares='7'") });
        await _host.VirshAsync("start", "web1");
        ProcessIdentity first = await UntilRunsAsync("web1");
        Assert.Equal((7, 64ul << 20), (_watched.Find("web1")!.Settings.Shares, _watched.Find("web1")!.MemoryBytes));

        await _host.VirshAsync("suspend", "web1");
        await _watched.UntilAsync("web1", d => d.State == DomainState.Paused);
        await _host.VirshAsync("resume", "web1");
        await _watched.UntilAsync("web1", d => d.State == DomainState.Running);

        await _host.VirshAsync("managedsave", "web1");
        await _watched.UntilGoneAsync("web1");
        await _host.VirshAsync("start", "web1");
        Assert.NotEqual(first, await UntilRunsAsync("web1"));

        await _host.VirshAsync("destroy", "web1");
        await _watched.UntilGoneAsync("web1");
    }

    [Fact]
    public async Task Metadata_counts_within_a_second()
    {
        await _host.CreateAsync(new TestDomain("web1"));
        await UntilRunsAsync("web1");
        List<double> seconds = [];
        for (int shares = 1; shares <= 10; shares++)
        {
            await _host.SetMetadataAsync("web1", $"<tiering shares='{shares}'/>");
            long set = Stopwatch.GetTimestamp();
            await _watched.UntilAsync("web1", d => d.Settings.Shares == shares);
            seconds.Add(Stopwatch.GetElapsedTime(set).TotalSeconds);
        }

        // The middle one: a single one may have met a moment in which this machine did something else.
        Assert.InRange(seconds.Order().ElementAt(5), 0, 1);
        await _host.VirshAsync("metadata", "web1", "--uri", "urn:virttier:tiering:1", "--live", "--remove");
        await _watched.UntilAsync("web1", d => d.Settings.Shares is null);
    }

    [Fact]
    public async Task A_killed_qemu_is_gone_and_its_file_is_left_alone_while_libvirtd_is_away()
    {
        await _host.CreateAsync(new TestDomain("dies"));
        await _host.CreateAsync(new TestDomain("lives"));
        await UntilRunsAsync("dies");
        ProcessIdentity lives = await UntilRunsAsync("lives");
        await _host.Libvirtd.EndAsync(Daemon.SigKill);
        Assert.True(_host.KillQemu("dies"));
        await _watched.UntilGoneAsync("dies");
        Assert.True(File.Exists(Path.Combine(_host.RunDirectory, "dies.xml")));
        Assert.Equal(lives, _watched.Find("lives")!.Process);
        await _watched.UntilLinkAsync(connected: false);

        await using WatchedHost later = WatchedHost.Of(_host, LibvirtSource.Files);
        await later.UntilAsync("lives", d => d.Process == lives);
        Assert.Null(later.Find("dies"));

        await _host.StartLibvirtdAsync();
        await later.UntilLinkAsync(connected: true);
        Assert.Equal(lives, later.Find("lives")!.Process);
    }

    [Fact]
    public async Task An_idle_daemon_ends_itself_though_it_is_watched_and_is_back_with_the_next_domain()
    {
        await using WatchedHost watched = WatchedHost.Of(_host, LibvirtSource.Files); // with a heartbeat
        await _host.Libvirtd.EndAsync();
        await _host.StartLibvirtdAsync("--timeout", "1");
        Assert.Equal(PrivateHost.DaemonName, (await File.ReadAllTextAsync($"/proc/{_host.Libvirtd.Pid}/comm",
            TestContext.Current.CancellationToken)).Trim());
        await Eventually.IsTrue(() => _host.Libvirtd.HasEnded);

        await _host.StartLibvirtdAsync("--timeout", "1");
        await _host.CreateAsync(new TestDomain("web1"));
        await watched.UntilAsync("web1", d => d.Process is not null);
        await watched.UntilLinkAsync(connected: true);
    }

    [Fact]
    public async Task It_is_the_same_picture_as_over_dbus()
    {
        _host.StartLibvirtDbus();
        await using WatchedHost overDBus = WatchedHost.Of(_host);
        await overDBus.UntilLinkAsync(connected: true);
        await _host.CreateAsync(new TestDomain("web1") { Metadata = TestDomain.MetadataOf("dram='25%' mode='observe'") });
        await _host.CreateAsync(new TestDomain("web2")
        {
            Metadata = TestDomain.MetadataOf("dram='lots'"),
            Extra = "<numatune><memory mode='preferred' nodeset='0'/></numatune>",
        });
        await UntilSameAsync(overDBus, 2);
        await _host.VirshAsync("suspend", "web1");
        await _host.SetMetadataAsync("web2", "<tiering shares='9'/>");
        await overDBus.UntilAsync("web1", d => d.State == DomainState.Paused);
        await overDBus.UntilAsync("web2", d => d.Settings.Shares == 9);
        await UntilSameAsync(overDBus, 2);
        await _host.VirshAsync("destroy", "web1");
        await overDBus.UntilGoneAsync("web1");
        await UntilSameAsync(overDBus, 1);
    }

    [Fact]
    public async Task Migrated_it_is_seen_at_both_ends()
    {
        await using PrivateHost other = await PrivateHost.StartAsync("files2");
        await using WatchedHost watchedOther = WatchedHost.ByHintsOf(other, LibvirtSource.Files);
        await watchedOther.UntilLinkAsync(connected: true);
        string image = await _host.WriteFileAsync("dirty.img", BootSector.DirtiesMemory);
        await _host.CreateAsync(new TestDomain("web1") { Metadata = TestDomain.MetadataOf("shares='7'") }.BootingFrom(image));
        await UntilRunsAsync("web1");

        Task<(int ExitCode, string Output)> migration = await _host.StartEndlessMigrationAsync("web1", other);
        await _watched.UntilAsync("web1", d => d is { State: DomainState.Running, MigratingOut: true });
        await watchedOther.UntilAsync("web1", d => d.State == DomainState.Paused);
        await _host.LetMigrationEndAsync("web1");
        Assert.Equal(0, (await migration).ExitCode);
        await watchedOther.UntilAsync("web1",
            d => d is { State: DomainState.Running, Process: not null, MigratingOut: false, Settings.Shares: 7 });
        await _watched.UntilGoneAsync("web1");
    }

    private Task UntilSameAsync(WatchedHost overDBus, int count) => Eventually.IsTrue(
        () => overDBus.Monitor.Current.Domains.Count == count
            && overDBus.Monitor.Current.Domains.Select(Comparable).SequenceEqual(
                _watched.Monitor.Current.Domains.Select(Comparable)),
        () => $"over D-Bus {overDBus}\nby files {_watched}");

    private static string Comparable(RunningDomain domain) =>
        $"{domain with { SettingsProblems = [] }} {string.Join(';', domain.SettingsProblems)}";

    private async Task<ProcessIdentity> UntilRunsAsync(string name)
    {
        await _watched.UntilAsync(name, d => d is { Process: not null, State: DomainState.Running });
        Assert.Equal(_host.ReadPid(name), _watched.Find(name)!.Process!.Value.Pid);
        return _watched.Find(name)!.Process!.Value;
    }
}
