// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.Json;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Doctor;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Memory;
using VirtTier.Memory.Sampling;

namespace VirtTier.Agent.Tests;

/// <summary>A host on which all is well, and then one thing is not: that, and only that, is found, with what mends it.</summary>
public sealed class DoctorTests : IDisposable
{
    private const int QemuPid = 42, AgentPid = 43;

    private readonly HostTree _tree = new();
    private readonly FakeBus _bus = new();
    private readonly List<DomainStatus> _known = [];
    private readonly HashSet<string> _names = ["org.libvirt", "org.freedesktop.machine1", "org.virttier.Agent1"];
    private GuestMemoryException _module = new(GuestMemoryError.NotAGuest, "no guest");
    private BusException? _libvirtError;
    private AgentConfig _config = new();
    private DomainSnapshot _domains = Domains.Snapshot(Domains.Running() with { Process = new ProcessIdentity(QemuPid, 1) });
    private bool _root = true;

    public DoctorTests()
    {
        new HookInstaller(_tree.Root).Install(null);
        _tree.Write("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
            .Write("/lib/modules/6.1.0-18-amd64/build/Makefile", "")
            .Write("/proc/sys/kernel/numa_balancing", "0\n")
            .Write("/proc/cpuinfo", "flags : fpu svm npt\n")
            .Write("/sys/module/kvm_amd/parameters/npt", "1\n")
            .Write("/sys/module/apparmor/parameters/enabled", "Y\n")
            .Write("/etc/apparmor.d/usr.sbin.libvirtd", "/etc/libvirt/hooks/** rmix,")
            .Write("/sys/kernel/mm/ksm/run", "0\n")
            .Write("/sys/module/damon_stat/parameters/enabled", "N\n")
            .Write("/sys/devices/system/node/online", "0-1")
            .Write("/sys/devices/virtual/memory_tiering/memory_tier4/nodelist", "0-1\n");
        Node(0, "0-3");
        Node(1, "");
        Process(QemuPid, "Mems_allowed_list:\t0-1\nCpus_allowed_list:\t0-3\n");
        Process(AgentPid, "CapEff:\t0000000000a80006\n");
        _bus.Answer = Answer;
    }

    public void Dispose() => _tree.Dispose();

    [Theory]
    [InlineData(null, false, "a write to node 1 weighs 1 reads (the firmware says nothing of that)")]
    [InlineData(null, true, "a write to node 1 weighs 2.5 reads (by the firmware's tables)")]
    [InlineData(3.0, true, "a write to node 1 weighs 3 reads (as the configuration says)")]
    public async Task What_a_write_weighs_is_said_and_where_that_comes_from(double? configured, bool firmware, string line)
    {
        for (int node = 0; firmware && node < 2; node++)
        {
            string directory = $"/sys/devices/system/node/node{node}/access1/initiators";
            _tree.Write($"{directory}/read_latency", node == 0 ? "100\n" : "200\n")
                .Write($"{directory}/write_latency", node == 0 ? "100\n" : "350\n")
                .Write($"{directory}/read_bandwidth", "9000\n").Write($"{directory}/write_bandwidth", "9000\n");
        }
        _config = new AgentConfig { WriteWeight = configured };
        DoctorReport report = await MakeAsync();
        Assert.Contains(report.Findings, f => f is { Check: "tiers", Severity: Severity.Ok } && f.Text == line);
    }

    [Fact]
    public async Task A_host_that_is_ready_has_a_line_for_each_prerequisite_and_status_0()
    {
        DoctorReport report = await MakeAsync();

        Assert.Equal([], report.Findings.Where(f => f.Severity != Severity.Ok));
        Assert.Equal(0, report.ExitStatus);
        Assert.Equal(
            ["configuration", "kernel", "kvm", "module", "tiers", "numa balancing", "damon", "ksm", "libvirt", "machined",
                "agent", "hook", "apparmor", "rights", "domains"],
            report.Findings.Select(f => f.Check).Distinct());
        Assert.Equal("fast: node 0 with 1 GiB (has processors, the kernel's memory_tier4)",
            report.Findings.First(f => f.Check == "tiers").Text);
    }

    [Theory]
    [InlineData("/proc/sys/kernel/osrelease", "5.10.0-1-amd64", "kernel", Severity.Error, "apt install linux-image-amd64")]
    [InlineData("/sys/module/kvm_amd/parameters/npt", "0", "kvm", Severity.Error, "npt=1")]
    [InlineData("/proc/sys/kernel/numa_balancing", "1", "numa balancing", Severity.Warning, "kernel.numa_balancing=0")]
    [InlineData("/sys/module/damon_stat/parameters/enabled", "Y", "damon", Severity.Warning,
        "echo N > /sys/module/damon_stat/parameters/enabled")]
    [InlineData("/sys/module/damon_reclaim/parameters/enabled", "Y", "damon", Severity.Warning,
        "echo N > /sys/module/damon_reclaim/parameters/enabled")]
    [InlineData("/sys/kernel/mm/damon/admin/kdamonds/0/state", "on", "damon", Severity.Warning,
        "echo off > /sys/kernel/mm/damon/admin/kdamonds/0/state")]
    [InlineData("/sys/kernel/mm/ksm/run", "1", "ksm", Severity.Warning, "echo 0 > /sys/kernel/mm/ksm/run")]
    [InlineData("/etc/apparmor.d/usr.sbin.libvirtd", "/usr/bin/* PUx,", "apparmor", Severity.Warning, "apparmor_parser -r")]
    [InlineData("/sys/devices/system/node/online", "0", "tiers", Severity.Note, "daxctl")]
    [InlineData("/sys/devices/system/node/online", "nonsense", "tiers", Severity.Error, "grep -r . /sys/devices/system/node/")]
    [InlineData("/etc/libvirt/hooks/qemu.d/virttier", "#!/bin/sh\n# libvirt's qemu hook for VirtTier\n", "hook", Severity.Warning,
        "virttier hook install")]
    [InlineData("/proc/43/status", "CapEff:\t0000000000a00000\n", "rights", Severity.Error, "systemctl cat virttier")]
    [InlineData("/proc/43/status", "CapEff:\t0000000000a80000\n", "rights", Severity.Error, "systemctl cat virttier")]
    [InlineData("/proc/43/attr/current", "strict-profile (enforce)", "rights", Severity.Warning, "aa-complain strict-profile")]
    [InlineData("/proc/42/status", "Mems_allowed_list:\t0\nCpus_allowed_list:\t0-3\n", "domain web1",
        Severity.Error, "echo 0-1 > ")]
    internal async Task One_thing_that_is_wrong_is_found_with_what_mends_it(
        string file, string text, string check, Severity severity, string mend)
    {
        _tree.Write(file, text).Write("/sys/fs/cgroup/machine.slice/web1/cpuset.mems", "0\n");

        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok);

        Assert.Equal((check, severity), (finding.Check, finding.Severity));
        Assert.Contains(mend, finding.Mend, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("hugepages-64kB/enabled", "[always] inherit madvise never", "always [madvise] never", true)]
    [InlineData("hugepages-64kB/enabled", "always inherit [madvise] never", "always madvise [never]", true)]
    [InlineData("hugepages-64kB/enabled", "always [inherit] madvise never", "always [madvise] never", true)]
    [InlineData("hugepages-64kB/enabled", "always [inherit] madvise never", "always madvise [never]", false)]
    [InlineData("hugepages-64kB/enabled", "always inherit madvise [never]", "[always] madvise never", false)]
    [InlineData("hugepages-2048kB/enabled", "always [inherit] madvise never", "[always] madvise never", false)]
    [InlineData("hugepages-16kB/shmem_enabled", "always inherit within_size [advise] never", "always [never] deny", true)]
    [InlineData("hugepages-16kB/shmem_enabled", "always [inherit] within_size advise never", "always never [deny]", false)]
    public async Task Pages_of_other_sizes_that_guests_get_are_found(string file, string value, string usual, bool found)
    {
        const string Huge = "/sys/kernel/mm/transparent_hugepage";
        _tree.Write($"{Huge}/{file}", value + "\n").Write($"{Huge}/{Path.GetFileName(file)}", usual + "\n");
        Finding? finding = (await MakeAsync()).Findings.SingleOrDefault(f => f.Check == "large pages");
        Assert.Equal(found ? $"echo never > {Huge}/{file}" : null, finding?.Mend);
        if (found)
            Assert.Contains($"pages of {file.Split('/')[0]["hugepages-".Length..]},", finding!.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0.1, null, "10000", "always [madvise] never", true)]
    [InlineData(0.1, null, "4294967295", "always [madvise] never", false)]
    [InlineData(0.1, null, "10000", "always madvise [never]", false)]
    [InlineData(0, 0.1, "10000", "always [madvise] never", true)] // of this domain
    [InlineData(0, null, "10000", "always [madvise] never", null)] // nothing is split that could be joined
    [InlineData(0, 0.0, "10000", "always [madvise] never", null)]
    public async Task Khugepaged_is_found_where_huge_pages_are_split(
        double share, double? ofDomain, string sleep, string enabled, bool? joins)
    {
        const string Huge = "/sys/kernel/mm/transparent_hugepage";
        _tree.Write($"{Huge}/khugepaged/scan_sleep_millisecs", sleep + "\n").Write($"{Huge}/enabled", enabled + "\n");
        _config = new AgentConfig
        {
            Split = new BlockShare(share),
            Defaults = new TieringSettings { Split = ofDomain is { } own ? new BlockShare(own) : null },
        };
        Finding? finding = (await MakeAsync()).Findings.SingleOrDefault(f => f.Check == "khugepaged");
        Assert.Equal(
            joins is null ? null : joins.Value ? Severity.Warning : Severity.Ok, finding?.Severity);
        if (joins == true)
            Assert.Equal($"echo 4294967295 > {Huge}/khugepaged/scan_sleep_millisecs", finding!.Mend);
    }

    [Fact]
    public async Task A_host_with_one_tier_is_ready_to_be_watched()
    {
        _tree.Write("/sys/devices/system/node/online", "0");
        DoctorReport report = await MakeAsync();
        Assert.Equal(0, report.ExitStatus);
        Assert.Contains("[blue]note [/]", string.Join('\n', report.ToMarkup()), StringComparison.Ordinal);
        Assert.Contains("virttier estimate", report.Findings.Single(f => f.Severity == Severity.Note).Text,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_was_taken_for_granted_of_the_tiers_is_said()
    {
        _tree.Write("/sys/devices/virtual/memory_tiering/memory_tier4/nodelist", "0\n");
        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok);
        Assert.Equal(("tiers", Severity.Warning), (finding.Check, finding.Severity));
        Assert.Equal("node 1 is taken to be slower than all others: the kernel lists it in no memory tier", finding.Text);
    }

    [Theory]
    [InlineData("/sys/devices/system/node/node1/cpulist", "many")]
    [InlineData("/sys/devices/virtual/memory_tiering/memory_tier4/nodelist", "0-")]
    [InlineData("/sys/devices/system/node/online", "0-4294967295")]
    public async Task A_file_of_sysfs_that_cannot_be_used_is_named(string file, string text)
    {
        _tree.Write(file, text);
        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Severity == Severity.Error);
        Assert.Contains(_tree.At(file), finding.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("kvm_amd npt=Y", "vmx", null)]
    [InlineData("kvm_amd npt=N", "svm", "npt=1")]
    [InlineData("kvm_intel ept=Y eptad=Y", "vmx", null)]
    [InlineData("kvm_intel ept=N eptad=Y", "vmx", "modprobe -r kvm_intel && modprobe kvm_intel")]
    [InlineData("kvm_intel ept=N eptad=Y", "vmx", "ept=1")]
    [InlineData("kvm_intel ept=Y eptad=N", "vmx", "eptad=1")]
    [InlineData("", "vmx", "modprobe kvm_intel")]
    [InlineData("", "svm", "modprobe kvm_amd")]
    [InlineData("", "", "--firmware-setup")]
    public async Task The_flavour_of_kvm_is_judged_by_its_own_page_tables(string module, string flag, string? mend)
    {
        Directory.Delete(_tree.At("/sys/module/kvm_amd"), recursive: true);
        string[] words = module.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        foreach (string[] option in words.Skip(1).Select(word => word.Split('=')))
            _tree.Write($"/sys/module/{words[0]}/parameters/{option[0]}", option[1]);
        _tree.Write("/proc/cpuinfo", $"flags : fpu {flag}\n");

        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Check == "kvm");

        Assert.Equal(mend is null ? Severity.Ok : Severity.Error, finding.Severity);
        Assert.Contains(mend ?? "", finding.Mend ?? "", StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_hook_that_is_absent_or_not_executable_is_found()
    {
        File.SetUnixFileMode(_tree.At("/etc/libvirt/hooks/qemu.d/virttier"), UnixFileMode.UserRead);
        Assert.Contains("chmod 755", Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok).Mend,
            StringComparison.Ordinal);

        File.Delete(_tree.At("/etc/libvirt/hooks/qemu.d/virttier"));
        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok);
        Assert.Equal(("hook", Severity.Warning, "virttier hook install"), (finding.Check, finding.Severity, finding.Mend));
    }

    [Fact]
    public async Task AppArmor_that_is_off_or_allows_hooks_by_a_local_rule_is_no_obstacle()
    {
        _tree.Write("/etc/apparmor.d/usr.sbin.libvirtd", "/usr/bin/* PUx,")
            .Write("/etc/apparmor.d/local/usr.sbin.libvirtd", "/etc/libvirt/hooks/** rmix,\n");
        Assert.Equal(0, (await MakeAsync()).ExitStatus);

        _tree.Write("/etc/apparmor.d/local/usr.sbin.libvirtd", "");
        Assert.Equal(1, (await MakeAsync()).ExitStatus);
        _tree.Write("/sys/module/apparmor/parameters/enabled", "N\n");
        Assert.Equal(0, (await MakeAsync()).ExitStatus);
    }

    [Fact]
    public async Task AppArmor_is_asked_for_the_profile_of_the_daemon_that_is_there()
    {
        _tree.Write("/usr/sbin/virtqemud", "").Write("/etc/apparmor.d/usr.sbin.virtqemud", "/usr/bin/* PUx,");
        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok);
        Assert.Equal("virtqemud's profile /etc/apparmor.d/usr.sbin.virtqemud does not let it run hooks", finding.Text);
        Assert.Contains(" >> /etc/apparmor.d/local/usr.sbin.virtqemud ", finding.Mend, StringComparison.Ordinal);

        _tree.Write("/etc/apparmor.d/local/usr.sbin.virtqemud", "/etc/libvirt/hooks/** rmix,\n");
        Assert.Equal("on; virtqemud may run its hooks", (await MakeAsync()).Findings.First(f => f.Check == "apparmor").Text);
    }

    [Theory]
    [InlineData(false, "systemctl start libvirtd")]
    [InlineData(true, "systemctl start virtqemud.socket virtqemud.service")]
    public async Task Where_both_daemons_are_installed_it_is_the_one_that_is_enabled(bool modular, string mend)
    {
        _names.Remove("org.libvirt");
        _tree.Write("/usr/sbin/libvirtd", "").Write("/usr/sbin/virtqemud", "");
        if (modular)
            _tree.Write("/etc/systemd/system/sockets.target.wants/virtqemud.socket", "");
        _domains = new DomainSnapshot(1, LibvirtLink.Waiting("no daemon"), []) { Source = LibvirtSource.Files };
        Assert.Equal(mend, (await MakeAsync()).Findings.First(f => f.Check == "libvirt").Mend);
    }

    [Fact]
    public async Task A_host_of_RPM_packages_is_told_its_own_commands()
    {
        _tree.Write("/usr/bin/dnf", "").Write("/proc/sys/kernel/osrelease", "5.10.0");
        _names.Clear();
        _domains =
            new DomainSnapshot(1, LibvirtLink.Waiting("there is no /run/libvirt/qemu"), []) { Source = LibvirtSource.Files };
        string[] mends = [.. (await MakeAsync()).Findings.Select(f => f.Mend).OfType<string>()];
        Assert.Contains("dnf install kernel", mends);
        Assert.Contains("dnf install libvirt-daemon-kvm", mends);
        Assert.Contains("dnf install systemd-container", mends);
        Assert.DoesNotContain(mends, mend => mend.Contains("apt install", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_guest_that_is_only_watched_is_noted_with_the_reason()
    {
        DomainStatus tiered = new() { Name = "web1", Uuid = Guid.NewGuid(), State = TieringState.Tiering, Mode = "enforce" };
        _known.Add(tiered);
        _known.Add(tiered with { Name = "sev1", State = TieringState.Observing, Reason = "the guest is confidential" });
        _known.Add(_known[1] with { Source = "proxmox", Id = "100" });

        DoctorReport report = await MakeAsync();

        Assert.Equal(["domain sev1", "domain proxmox:100"], report.Findings.Where(
            f => f is { Severity: Severity.Note, Text: "the guest is confidential", Mend: null }).Select(f => f.Check));
        Assert.Equal(2, report.Findings.Count(f => f.Severity != Severity.Ok));
        Assert.Equal(0, report.ExitStatus);
    }

    [Fact]
    public async Task A_node_with_pods_and_without_libvirt_is_ready()
    {
        _names.Remove("org.libvirt");
        _names.Remove("org.freedesktop.machine1");
        Directory.Delete(_tree.At("/etc/libvirt"), recursive: true);
        _domains = Elsewhere("kubevirt", LibvirtLink.Up, Running() with { Source = "kubevirt", Id = "UID/prod_web1" });

        DoctorReport report = await MakeAsync();

        Assert.Equal([], report.Findings.Where(f => f.Severity != Severity.Ok));
        Assert.Equal("1 domains run", report.Findings.Single(f => f.Check == "kubevirt").Text);
        Assert.Equal("none of the 1 that run is kept from a tier", report.Findings.Single(f => f.Check == "domains").Text);
    }

    [Theory]
    [InlineData("proxmox", true, "timeout 10 ls -ld /run/qemu-server #")]
    [InlineData("kubevirt", true, "timeout 10 ls -ld /var/lib/kubelet/pods #")]
    [InlineData("kubevirt", false, "editor /etc/virttier/virttier.yaml && virttier reload #")]
    [InlineData("qemu", true, "mount # which of them does not answer? /run/vms/*.pid")]
    public async Task A_source_that_does_not_answer_is_an_error_with_its_own_mend(string source, bool there, string mend)
    {
        _config = new AgentConfig { Sources = new() { Pods = "/var/lib/kubelet/pods", PidFiles = ["/run/vms/*.pid"] } };
        foreach (string directory in there ? (string[])["/run/qemu-server", "/var/lib/kubelet/pods"] : [])
            Directory.CreateDirectory(_tree.At(directory));
        _domains = Elsewhere(source, LibvirtLink.Waiting("it hangs"));

        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok);

        Assert.Equal((source, Severity.Error, "it hangs"), (finding.Check, finding.Severity, finding.Text));
        Assert.StartsWith(mend, finding.Mend, StringComparison.Ordinal);
        _root = false;
        Assert.Equal("sudo virttier doctor", (await MakeAsync()).Findings.Single(f => f.Check == source).Mend);
    }

    [Fact]
    public async Task Patterns_that_nothing_fits_are_noted_and_sources_without_vms_are_well()
    {
        _config = new AgentConfig { Sources = new() { PidFiles = ["/run/vms/*.pid"], Cgroups = ["/vms.slice/*"] } };
        _domains = Elsewhere("qemu", LibvirtLink.Up);
        Finding note = Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok);
        Assert.Equal(new Finding("qemu", Severity.Note, "no QEMU that runs fits /run/vms/*.pid, /vms.slice/*", null), note);

        _domains = Elsewhere("proxmox", LibvirtLink.Up);
        Assert.Equal(Finding.Ok("proxmox", "0 domains run"), (await MakeAsync()).Findings.Single(f => f.Check == "proxmox"));
    }

    [Theory]
    [InlineData("proxmox", "100", "dram", "qm set 100 --tags 'prod;virttier-min-10pct'")]
    [InlineData("proxmox", "100", "tier", "qm set 100 --tags 'prod;virttier-dram-lots;virttier-min-10pct'")]
    [InlineData("kubevirt", "UID/prod_web1", "dram", "kubectl annotate vmi web1 --namespace prod virttier.org/dram-")]
    [InlineData("kubevirt", "UID/prod_web1", "a b", "kubectl edit vmi web1 --namespace prod")]
    [InlineData("qemu", "/run/vms/web1.pid", "dram", "virttier explain -- qemu:/run/vms/web1.pid")]
    public async Task Bad_settings_are_mended_where_the_source_has_them(string source, string id, string attribute, string mend)
    {
        _domains = Elsewhere(source, LibvirtLink.Up, Running() with
        {
            Source = source,
            Id = id,
            Name = source == "kubevirt" ? "prod_web1" : "web1",
            Labels = DomainLabels.None with
            {
                Namespace = source == "kubevirt" ? "prod" : null,
                Labels = "prod\nvirttier-dram-lots\nvirttier-min-10pct",
            },
            SettingsProblems = [new SettingsProblem(attribute, "lots", "no size")],
        });

        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok);

        Assert.Equal(($"domain {source}:{id}", mend), (finding.Check, finding.Mend));
    }

    [Fact]
    public async Task The_last_tag_goes_with_all()
    {
        _domains = Elsewhere("proxmox", LibvirtLink.Up, Running() with
        {
            Source = "proxmox",
            Id = "100",
            Labels = DomainLabels.None with { Labels = "virttier-dram" },
            SettingsProblems = [new SettingsProblem("dram", "", "no size")],
        });
        Assert.Equal("qm set 100 --delete tags", (await MakeAsync()).Findings.Single(f => f.Severity != Severity.Ok).Mend);
    }

    [Theory]
    [InlineData("libvirt", "machine.slice", "echo 0-1 > ")]
    [InlineData("qemu", "vms.service", "systemctl set-property vms.service 'AllowedMemoryNodes=0-1'")]
    [InlineData("qemu", "vms", "echo 0-1 > ")]
    [InlineData("proxmox", "100.scope", "systemctl set-property 100.scope 'AllowedMemoryNodes=0-1'")]
    [InlineData("kubevirt", "kubepods-podUID.slice", "grep memoryManagerPolicy /var/lib/kubelet/config.yaml")]
    public async Task A_cpuset_is_mended_by_whoever_set_it(string source, string cgroup, string mend)
    {
        Process(QemuPid, "Mems_allowed_list:\t0\nCpus_allowed_list:\t0-3\n");
        _tree.Write($"/proc/{QemuPid}/cgroup", $"0::/{cgroup}/inner\n").Write($"/sys/fs/cgroup/{cgroup}/cpuset.mems", "0\n");
        RunningDomain domain = Running() with { Source = source, Id = "x" };
        _domains = source == "libvirt" ? Domains.Snapshot(domain) : Elsewhere(source, LibvirtLink.Up, domain);

        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok);

        Assert.StartsWith(mend, finding.Mend, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("org.freedesktop.machine1", "machined", Severity.Warning, "apt install systemd-container")]
    [InlineData("org.virttier.Agent1", "agent", Severity.Warning, "systemctl start virttier")]
    internal async Task A_service_that_is_not_there_is_found(string name, string check, Severity severity, string mend)
    {
        _names.Remove(name);

        Finding finding = Assert.Single((await MakeAsync()).Findings, f => f.Severity != Severity.Ok);

        Assert.Equal((check, severity, mend), (finding.Check, finding.Severity, finding.Mend));
    }

    [Theory]
    [InlineData("", "", "", "apt install libvirt-dbus")]
    [InlineData("", "", "/usr/sbin/libvirt-dbus", "systemctl start libvirt-dbus")]
    [InlineData("org.freedesktop.DBus.Error.Spawn.ChildExited", "exit 1", "", "systemctl start libvirt-dbus")]
    [InlineData(BusException.AccessDenied, "rejected send message", "", "systemctl stop libvirt-dbus")]
    [InlineData(BusException.AccessDenied, "rejected send message", "/usr/sbin/libvirt-dbus",
        "apt install --reinstall libvirt-dbus")]
    [InlineData("org.libvirt.Error", "Failed to connect socket to '/var/run/libvirt/libvirt-sock': Permission denied",
        "/usr/sbin/libvirtd",
        "usermod -aG libvirt libvirtdbus && systemctl restart libvirt-dbus")]
    [InlineData("org.libvirt.Error", "authentication unavailable: no polkit agent available", "/usr/sbin/libvirtd",
        "usermod -aG libvirt libvirtdbus && systemctl restart libvirt-dbus")]
    [InlineData("org.libvirt.Error", "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory",
        "/usr/sbin/libvirtd",
        "systemctl start libvirtd")]
    [InlineData("org.libvirt.Error", "Failed to connect socket to '/var/run/libvirt/virtqemud-sock': Connection refused",
        "/usr/sbin/virtqemud",
        "systemctl start virtqemud")]
    [InlineData("org.libvirt.Error", "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory", "",
        "apt install libvirt-daemon-system")]
    [InlineData("org.libvirt.Error", "internal error: client socket is closed", "", "systemctl restart libvirt-dbus")]
    [InlineData(BusException.NoReply, "Method call timed out", "",
        "timeout 10 virsh -c qemu:///system list && systemctl restart libvirt-dbus")]
    [InlineData("it answers", "", "", "virttier doctor # once more: it has just answered")]
    public async Task A_libvirt_that_does_not_answer_is_an_error_with_its_own_mend(
        string error, string message, string installed, string mend)
    {
        _domains = new DomainSnapshot(1, LibvirtLink.Waiting("libvirtd is away"), []);
        _libvirtError = error.Contains('.', StringComparison.Ordinal) ? new BusException(error, message) : null;
        if (error.Length == 0)
            _names.Remove("org.libvirt");
        if (installed.Length > 0)
            _tree.Write(installed, "");

        Finding finding = (await MakeAsync()).Findings.First(f => f.Check == "libvirt");

        Assert.Equal((Severity.Error, "libvirtd is away"), (finding.Severity, finding.Text));
        Assert.Equal(mend, finding.Mend!.Split(" # if")[0]);
        _root = false;
        if (error == BusException.AccessDenied)
            Assert.Equal("sudo virttier doctor", (await MakeAsync()).Findings.First(f => f.Check == "libvirt").Mend);
    }

    [Theory]
    [InlineData("/usr/sbin/libvirtd", "systemctl start libvirtd")]
    [InlineData("/usr/sbin/virtqemud", "systemctl start virtqemud")]
    [InlineData("/usr/sbin/virtqemud /usr/lib/systemd/system/virtqemud.socket",
        "systemctl start virtqemud.socket virtqemud.service")]
    [InlineData("/usr/bin/other", "apt install libvirt-daemon-system")]
    public async Task Where_its_files_are_read_libvirt_needs_its_daemon_and_no_libvirt_dbus(string installed, string mend)
    {
        _names.Remove("org.libvirt");
        foreach (string file in installed.Split(' '))
            _tree.Write(file, "");
        _domains =
            new DomainSnapshot(1, LibvirtLink.Waiting("there is no /run/libvirt/qemu"), []) { Source = LibvirtSource.Files };
        Assert.Equal(mend, (await MakeAsync()).Findings.First(f => f.Check == "libvirt").Mend);

        _domains = new DomainSnapshot(2, LibvirtLink.Up, []) { Source = LibvirtSource.Files };
        Finding finding = (await MakeAsync()).Findings.First(f => f.Check == "libvirt");
        Assert.Equal((Severity.Ok, "its files are read, without libvirt-dbus; 0 domains run"), (finding.Severity, finding.Text));
    }

    [Theory]
    [InlineData(GuestMemoryError.ModuleAbsent, true, Severity.Error,
        "apt install kvm-ept-sample-dkms && modprobe kvm_ept_sample")]
    [InlineData(GuestMemoryError.ModuleIncompatible, true, Severity.Error, "apt install --reinstall kvm-ept-sample-dkms")]
    [InlineData(GuestMemoryError.NoPermission, false, Severity.Warning, "sudo virttier doctor")]
    [InlineData(GuestMemoryError.NoPermission, true, Severity.Error, "modprobe kvm_ept_sample")]
    internal async Task The_module_is_judged_by_what_opening_it_says(
        GuestMemoryError kind, bool root, Severity severity, string mend)
    {
        _module = new GuestMemoryException(kind, "it said no");
        _root = root;

        Finding finding = (await MakeAsync()).Findings.First(f => f.Check == "module");

        Assert.Equal(severity, finding.Severity);
        Assert.Contains(mend, finding.Mend, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("6.1.0-18-amd64", true, false, false, "apt install kvm-ept-sample-dkms && ")]
    [InlineData("6.1.0-18-amd64", true, true, false, "apt install --reinstall kvm-ept-sample-dkms && ")]
    [InlineData("6.1.0-18-amd64", false, false, false, "apt install linux-headers-6.1.0-18-amd64 kvm-ept-sample-dkms && ")]
    [InlineData("6.1.0-18-amd64", false, true, false, "apt install linux-headers-6.1.0-18-amd64 && ")]
    [InlineData("6.8.12-4-pve", false, true, false, "apt install proxmox-headers-6.8.12-4-pve && ")]
    [InlineData("6.12.0-55.el10.x86_64", false, true, true, "dnf install kernel-devel-6.12.0-55.el10.x86_64 && ")]
    public async Task What_a_module_that_is_absent_lacks_is_installed_the_kernels_headers_among_it(
        string release, bool headers, bool sources, bool rpm, string mend)
    {
        _module = new GuestMemoryException(GuestMemoryError.ModuleAbsent, "absent");
        _tree.Write("/proc/sys/kernel/osrelease", release + "\n");
        Directory.CreateDirectory(_tree.At($"/lib/modules/{release}"));
        if (!headers)
        {
            // As a kernel's package leaves it.
            string build = _tree.At($"/lib/modules/{release}/build");
            if (Directory.Exists(build))
                Directory.Delete(build, recursive: true);
            File.CreateSymbolicLink(build, "/usr/src/linux-headers-of-nothing");
        }
        if (sources)
            _tree.Write("/usr/src/kvm_ept_sample-0.1.0/dkms.conf", "");
        if (rpm)
            _tree.Write("/usr/bin/dnf", "");

        Finding finding = (await MakeAsync()).Findings.First(f => f.Check == "module");

        Assert.Equal((Severity.Error, mend + "modprobe kvm_ept_sample"), (finding.Severity, finding.Mend));
        Assert.Equal(!headers, finding.Text.Contains($"no headers of kernel {release}", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("lock passed\nentries untried\n", Severity.Ok, "of this agent's ABI")]
    [InlineData("lock failed: 0x0\nroots passed\n", Severity.Warning, "on a real-time kernel it does not sample faults")]
    [InlineData("lock passed\nentries failed: 0x9f7\n", Severity.Warning, "does not sample faults: entries failed: 0x9f7")]
    [InlineData("lock failed: 0x0\ntracepoint failed: 0x0\n", Severity.Warning, "lock failed: 0x0, tracepoint failed: 0x0")]
    [InlineData("nested failed: 0x7\n", Severity.Warning, "guests that run guests are only observed: nested failed: 0x7")]
    [InlineData("entries failed: 0x9\nnested failed: 0x7\n", Severity.Warning, "does not sample faults: entries failed: 0x9, n")]
    [InlineData("roots passed\ntables failed: 0x7\n", Severity.Error, "guests are not observed: tables failed: 0x7")]
    internal async Task What_the_module_found_of_the_kernel_is_told(string checks, Severity severity, string text)
    {
        _tree.Write("/sys/module/kvm_ept_sample/parameters/checks", checks);

        Finding finding = (await MakeAsync()).Findings.First(f => f.Check == "module");

        Assert.Equal(severity, finding.Severity);
        Assert.Contains(text, finding.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_module_that_is_installed_needs_only_to_be_loaded()
    {
        _module = new GuestMemoryException(GuestMemoryError.ModuleAbsent, "absent");
        _tree.Write("/lib/modules/6.1.0-18-amd64/updates/kvm_ept_sample.ko", "");

        Assert.Equal("modprobe kvm_ept_sample", (await MakeAsync()).Findings.First(f => f.Check == "module").Mend);
    }

    [Theory]
    [InlineData("strict", "0", "virsh numatune --config --nodeset 0-1 web1")]
    [InlineData(null, "0", "virsh numatune --config --nodeset 0-1 web1")]
    [InlineData("restrictive", "1", "virsh numatune --live --config --nodeset 0-1 web1")]
    [InlineData("preferred", "0", null)]
    [InlineData("strict", "0-1", null)]
    public async Task A_numatune_that_forbids_a_tier_is_found(string? mode, string nodeset, string? mend)
    {
        _domains = Domains.Snapshot(Running() with { Numa = NumaHints.None with { Mode = mode, Nodeset = nodeset } });

        Finding[] findings = [.. (await MakeAsync()).Findings.Where(f => f.Check == "domain web1")];

        Assert.Equal(mend is null ? [] : [mend], findings.Select(f => f.Mend));
    }

    [Fact]
    public async Task Bad_settings_and_an_unknown_process_of_a_domain_are_found()
    {
        _domains = Domains.Snapshot(Running() with
        {
            Process = null,
            ProcessProblem = "no pid file",
            SettingsProblems = [new SettingsProblem("dram", "2", "no unit")],
        });

        Finding[] findings = [.. (await MakeAsync()).Findings.Where(f => f.Check == "domain web1")];

        Assert.Equal(["virttier set --unset dram web1",
            "virttier doctor # in a minute; if it stays so: a shutdown and a start when the VM's owner likes"],
            findings.Select(f => f.Mend));
        Assert.Equal([Severity.Warning, Severity.Error], findings.Select(f => f.Severity));
    }

    [Fact]
    public async Task An_element_of_another_namespace_is_mended_by_one_of_the_right()
    {
        _domains = Domains.Snapshot(Running() with
        {
            SettingsProblems = [new SettingsProblem("tiering", "urn:virttier:tiering:2", "it must be another")],
        });
        Assert.Equal("virttier set --dram auto web1 # or what the element says",
            (await MakeAsync()).Findings.First(f => f.Check == "domain web1").Mend);
    }

    [Fact]
    public async Task Tiers_named_by_the_configuration_are_told_as_such_and_wrong_ones_refused()
    {
        _config = new AgentConfig { FastNodes = [1], SlowTiers = [[0]] };
        Assert.Contains("node 1 with 1 GiB (as the configuration says)",
            (await MakeAsync()).Findings.First(f => f.Check == "tiers").Text, StringComparison.Ordinal);

        _config = new AgentConfig { FastNodes = [0], SlowTiers = [[7]] };
        Assert.Contains("unknown NUMA node 7", (await MakeAsync()).Findings.First(f => f.Check == "tiers").Text,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_empty_host_breaks_no_check_and_each_thing_found_names_a_command()
    {
        foreach (string directory in Directory.GetDirectories(_tree.Root))
            Directory.Delete(directory, recursive: true);
        _bus.Answer = _ => throw new BusException(BusException.Disconnected, "no bus");
        _bus.State = new BusState(false, "no bus");
        _module = new GuestMemoryException(GuestMemoryError.ModuleAbsent, "absent");

        DoctorReport report = await DoctorReport.MakeAsync(
            Host(), "v.yaml:1:1: unknown key", TestContext.Current.CancellationToken);

        Assert.Equal(2, report.ExitStatus);
        Assert.DoesNotContain(report.Findings, f => f.Text.StartsWith("could not be looked at", StringComparison.Ordinal));
        Assert.All(report.Findings, f => Assert.Equal(f.Severity == Severity.Ok, f.Mend is null));
        Assert.Single(report.Findings, f => f is { Check: "system bus", Text: "no bus", Mend: "systemctl start dbus" });
        Assert.Contains(report.ToMarkup(), line => line.Contains("unknown key", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Programs_get_json()
    {
        _tree.Write("/proc/sys/kernel/numa_balancing", "1");

        using JsonDocument json = JsonDocument.Parse((await MakeAsync()).ToJson());

        Assert.Equal("Warning", json.RootElement.GetProperty("severity").GetString());
        JsonElement finding = Assert.Single(json.RootElement.GetProperty("findings").EnumerateArray(),
            f => f.GetProperty("check").GetString() == "numa balancing");
        Assert.Contains("sysctl", finding.GetProperty("mend").GetString(), StringComparison.Ordinal);
    }

    /// <summary>The domains of a host without libvirt.</summary>
    private static DomainSnapshot Elsewhere(string source, LibvirtLink link, params RunningDomain[] domains) =>
        Domains.Snapshot(domains) with { Source = LibvirtSource.Off, Others = [new SourceLink(source, link)] };

    private static RunningDomain Running() => Domains.Running() with { Process = new ProcessIdentity(QemuPid, 1) };

    private Task<DoctorReport> MakeAsync() => DoctorReport.MakeAsync(Host(), null, TestContext.Current.CancellationToken);

    private DoctorHost Host() => new(_tree.Root, _bus, new Samplers(_module), _domains, _config, _root);

    private void Node(int node, string cpus) => _tree
        .Write($"/sys/devices/system/node/node{node}/cpulist", cpus)
        .Write($"/sys/devices/system/node/node{node}/distance", node == 0 ? "10 20" : "20 10")
        .Write($"/sys/devices/system/node/node{node}/meminfo",
            $"Node {node} MemTotal:  1048576 kB\nNode {node} MemFree:  524288 kB\n");

    private void Process(int pid, string status) => _tree
        .Write(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/status"), status)
        .Write(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/cgroup"), "0::/machine.slice/web1\n");

    private BusBody Answer(BusCall call) => call.Member switch
    {
        "ListDomains" when _libvirtError is null => new BusBody("ao", (object)Array.Empty<string>()),
        "ListDomains" => throw _libvirtError,
        "NameHasOwner" => new BusBody("b", _names.Contains(call.Body.Get<string>(0))),
        "ListActivatableNames" => new BusBody("as", (object)Array.Empty<string>()),
        "GetConnectionUnixProcessID" when _names.Contains("org.virttier.Agent1") => new BusBody("u", (uint)AgentPid),
        "GetStatus" when _names.Contains("org.virttier.Agent1") =>
            new BusBody("s", new AgentStatus("1.2.3", 5, new LibvirtStatus(true, null), [], 0, _known).ToJson()),
        _ => throw new BusException(BusException.ServiceUnknown, "not there"),
    };

    private sealed class Samplers(GuestMemoryException error) : IGuestSamplerFactory
    {
        public IGuestSampler Attach(int pid) => throw error;
    }
}
