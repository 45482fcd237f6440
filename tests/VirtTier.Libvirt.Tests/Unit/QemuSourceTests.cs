// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;
using VirtTier.Libvirt.Settings;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>QEMUs of which no libvirt tells: by pid file, by cgroup, and Proxmox VE's.</summary>
public sealed class QemuSourceTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("vt-qemu-").FullName;
    private readonly FakeProcesses _processes = new();
    private readonly FakeLog _log = new();
    private SourceOptions _options;

    public QemuSourceTests()
    {
        foreach (string directory in (string[])["run", "pve-run", "pve-conf"])
            Directory.CreateDirectory(At(directory));
        _options = new()
        {
            PidFiles = [At("run/*.pid")],
            Cgroups = ["/vms.slice/*.service"],
            CgroupRoot = At("cgroup"),
            ProxmoxRun = At("pve-run"),
            ProxmoxConfig = At("pve-conf"),
        };
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData("qemu-system-x86_64 -name web1", "web1", 128)]
    [InlineData("/usr/bin/kvm -id 100 -name web1,debug-threads=on -m 4096", "web1", 4096)]
    [InlineData("qemu-kvm --name guest=a,,b,process=x -m size=2G,slots=4,maxmem=8G", "a,b", 2048)]
    [InlineData("qemu -name debug-threads=on -m maxmem=8G,size=512", null, 512)]
    [InlineData("qemu -m 1T", null, 1 << 20)]
    [InlineData("qemu -m 0", null, 128)]
    [InlineData("qemu -m 99999999999T", null, 128)]
    [InlineData("qemu -m -name", null, 128)]
    [InlineData("qemu -m", null, 128)]
    public void A_command_line_says_name_and_memory(string line, string? name, int mebibytes)
    {
        QemuArguments read = QemuArguments.Parse(line.Split(' '))!;
        Assert.Equal((name, (ulong)mebibytes << 20), (read.Name, read.MemoryBytes));
    }

    [Fact]
    public void A_uuid_is_that_of_the_option_or_of_the_firmware()
    {
        const string Uuid = "7d3c4a1e-0000-4000-8000-000000000001", Other = "7d3c4a1e-0000-4000-8000-000000000002";
        Assert.Equal(Guid.Parse(Uuid), QemuArguments.Parse(["kvm", "-smbios", $"type=1,uuid={Uuid}"])!.Uuid);
        Assert.Equal(Guid.Parse(Uuid), QemuArguments.Parse(["kvm", "-smbios", $"type=1,uuid={Other}", "-uuid", Uuid])!.Uuid);
        Assert.Equal(Guid.Empty, QemuArguments.Parse(["kvm", "-smbios", $"type=2,uuid={Uuid}"])!.Uuid);
        Assert.Null(QemuArguments.Parse(["bash", "-name", "web1"]));
        Assert.Null(QemuArguments.Parse([]));
    }

    [Fact]
    public async Task Plain_qemus_are_found_by_pid_file_and_by_cgroup_once_each()
    {
        _processes.Start(10, At("run/a.pid"), "/", "qemu-system-x86_64", "-name", "a", "-m", "64");
        _processes.Start(11, null, "/", "qemu-system-x86_64");
        _processes.Start(12, null, "/", "bash");
        _processes.Start(13, At("run/no.pid"), "/", "bash");
        MakeCgroup("vms.slice/b.service", 12, 11);
        MakeCgroup("vms.slice/c.service", 10); // which has a pid file
        MakeCgroup("vms.slice/other.scope", 10, 11);
        using DomainMonitor monitor = Monitor(work => new QemuSource(_processes, work, () => _options, () => { }, _log));
        for (int look = 0; look < 3; look++)
            await monitor.LookAsync(TestContext.Current.CancellationToken);

        Assert.Equal([("qemu", At("run/a.pid"), "a", 10), ("qemu", "/vms.slice/b.service", "b", 11)],
            monitor.Current.Domains.Select(d => (d.Source, d.Id, d.Name, d.Process!.Value.Pid)));
        Assert.Equal(64UL << 20, monitor.Current.Domains[0].MemoryBytes);
        Assert.Equal(1, monitor.Current.Version);
        Assert.Contains("process 13 is no QEMU", Assert.Single(_log.Lines, line => line.Contains("left out",
            StringComparison.Ordinal)), StringComparison.Ordinal);

        _processes.End(10);
        _processes.Start(14, null, "/", "qemu", "-name", "d");
        MakeCgroup("vms.slice/b.service", 11, 14);
        await monitor.LookAsync(TestContext.Current.CancellationToken);
        Assert.Equal([("/vms.slice/b.service#11", "b"), ("/vms.slice/b.service#14", "d")],
            monitor.Current.Domains.Select(d => (d.Id, d.Name.Split('#')[0].Replace(".service", "", StringComparison.Ordinal))));

        _options = new();
        await monitor.LookAsync(TestContext.Current.CancellationToken);
        Assert.Empty(monitor.Current.Domains);
    }

    [Fact]
    public async Task Of_proxmox_the_configuration_says_name_memory_tags_and_settings()
    {
        _options = _options with { Proxmox = true };
        StartProxmox(
            100, 20, "name: web1\nmemory: 2048\ntags: prod;virttier-dram-25pct;virttier-rate-10mib\n\n[old]\nname: no\n");
        StartProxmox(101, 21, "#memory: 1\nmemory: current=512,x=y\ntags: virttier-dram-lots\n");
        StartProxmox(102, 22, null);
        StartProxmox(103, 23, "name: other\n", id: 104);
        using DomainMonitor monitor = Monitor(work => new ProxmoxSource(_processes, work, () => _options, () => { }, _log));
        for (int look = 0; look < 3; look++)
            await monitor.LookAsync(TestContext.Current.CancellationToken);

        Dictionary<string, RunningDomain> domains = monitor.Current.Domains.ToDictionary(d => d.Id);
        Assert.Equal(["100", "101", "102"], domains.Keys.Order());
        Assert.Equal(("web1", 2048UL << 20, "proxmox"), (domains["100"].Name, domains["100"].MemoryBytes, domains["100"].Source));
        Assert.Equal(("25%", "10MiB/s"), (domains["100"].Settings.Dram.ToString(), domains["100"].Settings.Rate.ToString()));
        Assert.StartsWith("prod\n", domains["100"].Labels.Labels, StringComparison.Ordinal);
        Assert.Equal(("vm101", 512UL << 20), (domains["101"].Name, domains["101"].MemoryBytes));
        Assert.Equal("dram", Assert.Single(domains["101"].SettingsProblems).Attribute);
        Assert.Equal(TieringSettings.Default, domains["101"].Settings);
        Assert.Equal(("vm102", 64UL << 20), (domains["102"].Name, domains["102"].MemoryBytes));
        Assert.Contains("proxmox:103 is left out: process 23 is not the QEMU of VM 103", Assert.Single(_log.Lines,
            line => line.Contains("left out", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Equal(1, monitor.Current.Version); // what is the same is no news
    }

    [Fact]
    public async Task While_a_directory_is_away_its_vms_are_as_they_were_and_that_is_said()
    {
        _options = _options with { Proxmox = true };
        _processes.Start(10, At("run/a.pid"), "/", "qemu-system-x86_64", "-name", "a");
        StartProxmox(100, 20, "name: web1\ntags: virttier-dram-25pct\n");
        using DomainMonitor plain = Monitor(work => new QemuSource(_processes, work, () => _options, () => { }, _log));
        using DomainMonitor proxmox = Monitor(work => new ProxmoxSource(_processes, work, () => _options, () => { }, _log));
        await LookAsync();
        RunningDomain[] before = [.. plain.Current.Domains, .. proxmox.Current.Domains];
        Assert.Equal(["a", "web1"], before.Select(domain => domain.Name));

        foreach (string directory in (string[])["run", "pve-run", "pve-conf"])
        {
            Directory.Move(At(directory), At("away"));
            await LookAsync();
            Assert.Equal(before, plain.Current.Domains.Concat(proxmox.Current.Domains));
            // Of plain QEMUs it may be the VM's own.
            Assert.Equal(directory == "pve-run", !proxmox.Current.Link.Connected);
            Directory.Move(At("away"), At(directory));
        }
        await LookAsync();
        Assert.True(proxmox.Current.Link.Connected);

        Directory.Move(At("run"), At("away"));
        _processes.End(10); // as a directory that goes with its VM
        await LookAsync();
        Assert.Empty(plain.Current.Domains);
        Directory.Move(At("away"), At("run"));
        _processes.Start(10, At("run/a.pid"), "/", "qemu-system-x86_64", "-name", "a");
        await LookAsync();
        File.Delete(At("run/a.pid"));
        await LookAsync();
        Assert.Empty(plain.Current.Domains);

        async Task LookAsync()
        {
            await plain.LookAsync(TestContext.Current.CancellationToken);
            await proxmox.LookAsync(TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task With_a_tag_that_cannot_be_used_the_last_good_settings_hold_as_long_as_the_process_lives()
    {
        _options = _options with { Proxmox = true };
        StartProxmox(100, 20, "name: web1\ntags: virttier-dram-25pct\n");
        using DomainMonitor monitor = Monitor(work => new ProxmoxSource(_processes, work, () => _options, () => { }, _log));
        Assert.Equal(("25%", 0), await LookAsync("virttier-dram-25pct"));
        Assert.Equal(("25%", 1), await LookAsync("virttier-dram-lots"));
        Assert.Equal(("25%", 1), await LookAsync("virttier-dram-30pct;virttier-dram-40pct"));
        Assert.Equal(("30%", 0), await LookAsync("virttier-dram-30pct;virttier-dram-30pct"));
        _processes.End(20);
        StartProxmox(100, 21, null);
        Assert.Equal(("", 1), await LookAsync("virttier-dram-lots"));

        async Task<(string Dram, int Problems)> LookAsync(string tag)
        {
            await File.WriteAllTextAsync(At("pve-conf/100.conf"), $"name: {new string('x', 300)}\ntags: {tag}\n");
            await monitor.LookAsync(TestContext.Current.CancellationToken);
            RunningDomain domain = Assert.Single(monitor.Current.Domains);
            Assert.Equal("vm100", domain.Name); // no VM has a name of 300 letters
            return (domain.Settings.Dram.ToString(), domain.SettingsProblems.Count);
        }
    }

    [Fact]
    public async Task A_pid_that_another_qemu_gets_while_it_is_looked_at_is_not_the_vm_of_the_file()
    {
        _processes.Start(10, At("run/a.pid"), "/", "qemu-system-x86_64", "-name", "a");
        _processes.Asked = _ =>
        {
            // Its end, and another's start, between the question for the lock and all others.
            _processes.Asked = _ => { };
            _processes.Identified = pid =>
            {
                _processes.Identified = _ => { };
                _processes.End(pid);
                _processes.Start(pid, null, "/", "qemu-system-x86_64", "-name", "another");
            };
        };
        using DomainMonitor monitor = Monitor(work => new QemuSource(_processes, work, () => _options, () => { }, _log));
        await monitor.LookAsync(TestContext.Current.CancellationToken);
        Assert.Empty(monitor.Current.Domains);
        await monitor.LookAsync(TestContext.Current.CancellationToken);
        Assert.Empty(monitor.Current.Domains);
    }

    private void StartProxmox(int vmid, int pid, string? configuration, int? id = null)
    {
        _processes.Start(pid, At($"pve-run/{vmid}.pid"), "/", "/usr/bin/kvm", "-id", $"{id ?? vmid}", "-name",
            $"vm{vmid}", "-m", "64");
        if (configuration is not null)
            File.WriteAllText(At($"pve-conf/{vmid}.conf"), configuration);
    }

    private void MakeCgroup(string path, params int[] pids)
    {
        Directory.CreateDirectory(At("cgroup/" + path));
        File.WriteAllLines(At("cgroup/" + path + "/cgroup.procs"), pids.Select(pid => $"{pid}"));
    }

    private DomainMonitor Monitor(Func<PendingWork, IDomainSource> source) =>
        new(source, new DomainMonitorOptions(), TimeProvider.System, _log);

    private string At(string path) => Path.Combine(_root, path);
}
