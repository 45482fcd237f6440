// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>The rarer ways in which a domain comes, changes and goes.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class DomainTransitionTests : IAsyncLifetime
{
    private PrivateHost _host = null!;
    private WatchedHost _watched = null!;

    public async ValueTask InitializeAsync()
    {
        _host = await PrivateHost.StartAsync("transitions");
        _watched = WatchedHost.ByHintsOf(_host);
        await _watched.UntilLinkAsync(connected: true);
    }

    public async ValueTask DisposeAsync()
    {
        await _watched.DisposeAsync();
        await _host.DisposeAsync();
    }

    [Fact]
    public async Task Saved_and_restored_it_is_the_same_domain_in_another_process()
    {
        await _host.DefineAsync(new TestDomain("web1") { Metadata = TestDomain.MetadataOf("shares='7'") });
        await _host.VirshAsync("start", "web1");
        ProcessIdentity first = await UntilRunsAsync("web1");
        await _host.VirshAsync("managedsave", "web1");
        await _watched.UntilGoneAsync("web1");

        await _host.VirshAsync("start", "web1");
        Assert.NotEqual(first, await UntilRunsAsync("web1"));
        Assert.Equal(7, _watched.Find("web1")!.Settings.Shares);
    }

    [Fact]
    public async Task Reset_and_dumped_it_is_still_the_same_process()
    {
        await _host.CreateAsync(new TestDomain("web1"));
        ProcessIdentity process = await UntilRunsAsync("web1");
        await _host.VirshAsync("reset", "web1");
        await _host.VirshAsync("dump", "web1", await _host.WriteFileAsync("core", ""), "--memory-only");
        await _watched.UntilAsync("web1", d => d is { State: DomainState.Running, MigratingOut: false });
        Assert.Equal(process, _watched.Find("web1")!.Process);
    }

    [Fact]
    public async Task Destroyed_and_started_again_at_once_it_has_its_new_process_and_definition()
    {
        await _host.DefineAsync(new TestDomain("web1"));
        await _host.VirshAsync("start", "web1");
        ProcessIdentity first = await UntilRunsAsync("web1");
        await _host.SetMetadataAsync("web1", "<tiering shares='7'/>", "--config");
        await _host.VirshAsync("destroy", "web1");
        await _host.VirshAsync("start", "web1");

        await _watched.UntilAsync("web1", d => d.Process is { } process && process != first && d.Settings.Shares == 7);
        Assert.Equal(_host.ReadPid("web1"), _watched.Find("web1")!.Process!.Value.Pid);
    }

    [Fact]
    public async Task Renamed_while_off_it_appears_under_its_new_name()
    {
        TestDomain domain = new("old");
        await _host.DefineAsync(domain);
        await _host.VirshAsync("domrename", "old", "new");
        await _host.VirshAsync("start", "new");

        await UntilRunsAsync("new");
        Assert.Equal(domain.Uuid, _watched.Find("new")!.Uuid);
        Assert.Null(_watched.Find("old"));
    }

    [Fact]
    public async Task Undefined_while_it_runs_it_stays_until_it_stops()
    {
        await _host.DefineAsync(new TestDomain("web1"));
        await _host.VirshAsync("start", "web1");
        ProcessIdentity process = await UntilRunsAsync("web1");
        await _host.VirshAsync("undefine", "web1");
        await _host.SetMetadataAsync("web1", "<tiering shares='7'/>");
        await _watched.UntilAsync("web1", d => d.Settings.Shares == 7 && d.Process == process);
        await _host.VirshAsync("destroy", "web1");
        await _watched.UntilGoneAsync("web1");
    }

    [Fact]
    public async Task A_guest_that_switches_itself_off_is_gone()
    {
        await _host.CreateAsync(new TestDomain("web1").BootingFrom(await _host.WriteFileAsync("off.img", BootSector.PowersOff)));
        await Eventually.IsTrue(
            () => _watched.Log.Lines.Any(line => line.EndsWith("is gone", StringComparison.Ordinal)), _watched.ToString);
        Assert.Empty(_watched.Monitor.Current.Domains);
    }

    [Fact]
    public async Task A_guest_that_libvirt_asks_to_shut_down_is_gone_when_it_has()
    {
        await _host.CreateAsync(new TestDomain("web1").BootingFrom(
            await _host.WriteFileAsync("asked.img", BootSector.PowersOffWhenAsked)));
        await UntilRunsAsync("web1");
        await Eventually.IsTrue(
            async () =>
            {
                // the firmware, which may run still, does not hear it
                await _host.TryVirshAsync("shutdown", "web1", "--mode", "acpi");
                await Task.Delay(TimeSpan.FromMilliseconds(200), TestContext.Current.CancellationToken);
                return _watched.Find("web1") is null;
            },
            _watched.ToString);
        // QEMU's end is seen first
        await Eventually.IsTrue(async () => (await _host.VirshAsync("list", "--name")).Length == 0,
            () => "virsh still lists it");
        Assert.Empty(_watched.Monitor.Current.Domains);
    }

    [Fact]
    public async Task A_guest_that_panics_has_crashed_if_it_is_kept_and_is_gone_if_not()
    {
        string image = await _host.WriteFileAsync("panics.img", BootSector.Panics);
        TestDomain Panicking(string name, string onCrash)
        {
            TestDomain domain = new TestDomain(name) { Extra = $"<on_crash>{onCrash}</on_crash>" }.BootingFrom(image);
            return domain with { Devices = domain.Devices + "<panic model='isa'/>" };
        }

        await _host.CreateAsync(Panicking("kept", "preserve"));
        await _watched.UntilAsync("kept", d => d is { State: DomainState.Crashed, Process: not null });
        await _host.VirshAsync("destroy", "kept");
        await _watched.UntilGoneAsync("kept");

        await _host.TryVirshAsync("create", await _host.WriteFileAsync("lost.xml", Panicking("lost", "destroy").ToXml()));
        await Eventually.IsTrue(async () => (await _host.VirshAsync("list", "--name")).Trim().Length == 0, () => "it is kept");
        await _watched.UntilGoneAsync("lost");
    }

    [Fact]
    public async Task Saved_to_a_file_and_restored_a_transient_domain_is_another_process_with_its_settings()
    {
        await _host.CreateAsync(new TestDomain("web1") { Metadata = TestDomain.MetadataOf("shares='7'") });
        ProcessIdentity first = await UntilRunsAsync("web1");
        string file = await _host.WriteFileAsync("saved", "");
        await _host.VirshAsync("save", "web1", file);
        await _watched.UntilGoneAsync("web1");
        await _host.VirshAsync("restore", file);
        Assert.NotEqual(first, await UntilRunsAsync("web1"));
        Assert.Equal(7, _watched.Find("web1")!.Settings.Shares);
    }

    [Fact]
    public async Task A_snapshot_of_its_memory_leaves_it_as_it_was()
    {
        await _host.DefineAsync(new TestDomain("web1"));
        await _host.VirshAsync("start", "web1");
        ProcessIdentity process = await UntilRunsAsync("web1");
        await _host.VirshAsync("snapshot-create-as", "web1", "first", "--memspec",
            await _host.WriteFileAsync("memory", "") + ".snapshot,snapshot=external");
        await _host.SetMetadataAsync("web1", "<tiering shares='7'/>");
        await _watched.UntilAsync("web1",
            d => d is { State: DomainState.Running, MigratingOut: false, Settings.Shares: 7 } && d.Process == process);
    }

    [Fact]
    public async Task Back_to_a_snapshot_inside_its_disk_it_has_the_settings_of_that_time()
    {
        HostRing.RequirePrograms("qemu-img");
        string disk = await MakeDiskAsync("disk.qcow2");
        await _host.DefineAsync(
            new TestDomain("web1") { Metadata = TestDomain.MetadataOf("shares='7'"), Devices = DiskOf(disk) });
        await _host.VirshAsync("start", "web1");
        await UntilRunsAsync("web1");
        await _host.VirshAsync("snapshot-create-as", "web1", "first");
        await _host.SetMetadataAsync("web1", "<tiering shares='9'/>");
        await _watched.UntilAsync("web1", d => d is { State: DomainState.Running, MigratingOut: false, Settings.Shares: 9 });

        await _host.VirshAsync("snapshot-revert", "web1", "first");
        await _watched.UntilAsync("web1", d => d is { State: DomainState.Running, MigratingOut: false, Settings.Shares: 7 });
        await UntilRunsAsync("web1");

        await _host.VirshAsync("suspend", "web1");
        await _host.VirshAsync("snapshot-revert", "web1", "first", "--paused");
        await _watched.UntilAsync("web1", d => d is { State: DomainState.Paused, Process: not null, Settings.Shares: 7 });
    }

    /// <summary>A pull backup lasts until it is ended; a push of a small disk may be over before it is seen.</summary>
    [Theory]
    [InlineData("pull")]
    [InlineData("push")]
    public async Task A_backup_of_its_disk_copies_no_memory(string mode)
    {
        HostRing.RequirePrograms("qemu-img");
        string disk = await MakeDiskAsync("disk.qcow2");
        await _host.CreateAsync(new TestDomain("web1") { Devices = DiskOf(disk) });
        ProcessIdentity process = await UntilRunsAsync("web1");
        string backup = mode == "pull"
            ? $"<domainbackup mode='pull'><server transport='unix' socket='{disk}.socket'/><disks><disk name='vda' type='file'>"
                + $"<scratch file='{disk}.scratch'/></disk></disks></domainbackup>"
            : $"<domainbackup mode='push'><disks><disk name='vda' type='file'><target file='{disk}.copy'/><driver type='qcow2'/>"
                + "</disk></disks></domainbackup>";
        await _host.VirshAsync("backup-begin", "web1", await _host.WriteFileAsync("backup.xml", backup));
        if (mode == "pull")
            Assert.Contains("Backup", await _host.VirshAsync("domjobinfo", "web1"), StringComparison.Ordinal);

        await _host.SetMetadataAsync("web1", "<tiering shares='7'/>"); // has its job read
        await _watched.UntilAsync("web1", d => d.Settings.Shares == 7);
        Assert.Equal((DomainState.Running, false), (_watched.Find("web1")!.State, _watched.Find("web1")!.MigratingOut));

        // libvirtd knows of the backup after a restart, when everything is read again.
        await _host.Libvirtd.EndAsync();
        await _host.StartLibvirtdAsync();
        if (mode == "pull")
            Assert.Contains("Backup", await _host.VirshAsync("domjobinfo", "web1"), StringComparison.Ordinal);
        await _host.SetMetadataAsync("web1", "<tiering shares='8'/>");
        _watched.Monitor.Wake();
        await _watched.UntilAsync("web1", d => d.Settings.Shares == 8);
        Assert.False(_watched.Find("web1")!.MigratingOut);

        await _host.TryVirshAsync("domjobabort", "web1");
        await _host.VirshAsync("snapshot-create-as", "web1", "first", "--disk-only", "--no-metadata");
        await _host.SetMetadataAsync("web1", "<tiering shares='9'/>");
        await _watched.UntilAsync("web1",
            d => d is { State: DomainState.Running, MigratingOut: false, Settings.Shares: 9 } && d.Process == process);
    }

    [Fact]
    public async Task A_qemu_that_does_not_come_up_leaves_nothing()
    {
        string xml = await _host.WriteFileAsync("huge.xml", new TestDomain("huge") { MemoryMiB = 1 << 28 }.ToXml());
        (int exitCode, string output) = await _host.TryVirshAsync("create", xml);
        Assert.NotEqual(0, exitCode);
        Assert.Contains("cannot set up guest memory", output, StringComparison.Ordinal);
        await _host.CreateAsync(new TestDomain("after"));
        await UntilRunsAsync("after");
        Assert.Equal(["after"], _watched.Monitor.Current.Domains.Select(d => d.Name));
    }

    [Fact]
    public async Task A_hot_plugged_dimm_is_memory()
    {
        await _host.CreateAsync(new TestDomain("web1")
        {
            Extra = """
                <maxMemory slots='4' unit='MiB'>512</maxMemory>
                <cpu><numa><cell id='0' cpus='0' memory='64' unit='MiB'/></numa></cpu>
                """,
        });
        await UntilRunsAsync("web1");
        Assert.Equal(64ul << 20, _watched.Find("web1")!.MemoryBytes);
        await _host.SetMetadataAsync("web1", "<tiering dram='128MiB'/>");
        await _watched.UntilAsync("web1", d => d.SettingsProblems.Count == 1); // more than its memory

        await _host.VirshAsync("attach-device", "web1", "--live", await _host.WriteFileAsync("dimm.xml",
            "<memory model='dimm'><target><size unit='MiB'>128</size><node>0</node></target></memory>"));
        await _watched.UntilAsync("web1", d => d is { MemoryBytes: 192ul << 20, SettingsProblems.Count: 0 });
        Assert.Equal("0:4294967296:131072", _watched.Find("web1")!.Numa.CellDevices); // and of that cell
    }

    private async Task<string> MakeDiskAsync(string name)
    {
        string disk = await _host.WriteFileAsync(name, "");
        using Process make = Process.Start("qemu-img", ["create", "-q", "-f", "qcow2", disk, "16M"]);
        await make.WaitForExitAsync(TestContext.Current.CancellationToken);
        return disk;
    }

    private static string DiskOf(string image) =>
        $"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{image}'/>"
            + "<target dev='vda' bus='virtio'/></disk>";

    private async Task<ProcessIdentity> UntilRunsAsync(string name)
    {
        await _watched.UntilAsync(name, d => d is { Process: not null, State: DomainState.Running });
        Assert.Equal(_host.ReadPid(name), _watched.Find(name)!.Process!.Value.Pid);
        return _watched.Find(name)!.Process!.Value;
    }
}
