// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net.Sockets;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>What pods have in their volumes: theirs to write, and so nothing to rely on.</summary>
public sealed class PodSourceTests : IDisposable
{
    private const string Good = "11111111-2222-3333-4444-555555555555", Bad = "99999999-2222-3333-4444-555555555555";

    private readonly string _root = Directory.CreateTempSubdirectory("vt-pods-").FullName;
    private readonly FakeProcesses _processes = new();
    private readonly FakeLog _log = new();
    private readonly DomainMonitor _monitor;
    private int _told;

    public PodSourceTests()
    {
        Directory.CreateDirectory(At("logs"));
        SourceOptions options = new()
        {
            Pods = Directory.CreateDirectory(At("pods")).FullName,
            PodLogs = At("logs"),
            VmiSettings = At("settings.json"),
            CgroupRoot = At("cgroup"),
        };
        _monitor = new(work => new PodSource(_processes, work, () => options, () => { }, _log), new DomainMonitorOptions(),
            TimeProvider.System, _log);
        MakePod(Good, "prod");
        Start(Good, "prod_web1", 10);
    }

    public void Dispose()
    {
        _monitor.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public async Task A_domain_is_what_its_pod_and_process_are_and_not_what_its_owner_says()
    {
        _processes.Resize(10, 3UL << 20);
        await LookAsync();

        RunningDomain domain = Assert.Single(_monitor.Current.Domains);
        Assert.Equal(new DomainKey("kubevirt", $"{Good}/prod_web1"), domain.Key);
        Assert.Equal(("prod_web1", 10, 3UL << 20), (domain.Name, domain.Process!.Value.Pid, domain.MemoryBytes));
        Assert.Equal("prod", domain.Labels.Namespace);
        Assert.Equal((TieringSettings.Default, null, "", TieringSettings.Default),
            (domain.Settings, domain.Labels.Flavor, domain.Labels.Metadata, domain.Labels.FlavorSettings));
        Assert.Equal(DomainState.Running, domain.State);
        Assert.Equal(LibvirtLink.Up, _monitor.Current.Link);
    }

    [Theory]
    [InlineData("memory.max", "3145728", 3)]
    [InlineData("memory.max", "max", 1 << 20)]
    [InlineData("memory.max", "nonsense", 1 << 20)]
    [InlineData("../memory.max", "2097152", 2)] // the pod's
    [InlineData("memory/kubepods.slice/{pod}/memory.limit_in_bytes", "5242880", 5)] // cgroups of version 1
    [InlineData("memory/kubepods.slice/{pod}/memory.limit_in_bytes", "9223372036854771712", 1 << 20)] // its "no limit"
    public async Task Its_memory_is_no_more_than_its_cgroup_may_have(string file, string limit, int mebibytes)
    {
        string pod = $"kubepods-pod{Good.Replace('-', '_')}.slice";
        WriteLimit(file.Contains("{pod}", StringComparison.Ordinal)
            ? file.Replace("{pod}", pod, StringComparison.Ordinal) : $"kubepods.slice/{pod}/crio-1.scope/{file}", limit);
        await LookAsync();
        Assert.Equal((ulong)mebibytes << 20, Assert.Single(_monitor.Current.Domains).MemoryBytes);
    }

    [Theory]
    [InlineData("4194304", "1073741824", (4UL << 20) + (1UL << 30))]
    [InlineData("4194304", "max", 4UL << 20)]
    public async Task Huge_pages_that_its_cgroup_may_have_are_beside_that(string memory, string huge, ulong bytes)
    {
        string pod = $"kubepods.slice/kubepods-pod{Good.Replace('-', '_')}.slice";
        WriteLimit($"{pod}/memory.max", memory);
        WriteLimit($"{pod}/hugetlb.2MB.max", "0");
        WriteLimit($"{pod}/hugetlb.1GB.max", huge);
        WriteLimit($"{pod}/hugetlb.1GB.rsvd.max", "max");
        await LookAsync();
        Assert.Equal(bytes, Assert.Single(_monitor.Current.Domains).MemoryBytes);
    }

    private void WriteLimit(string file, string limit)
    {
        string path = Path.GetFullPath(At("cgroup", file));
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, limit + "\n");
    }

    [Fact]
    public async Task It_ends_with_its_process_and_its_pod()
    {
        await LookAsync();
        _processes.End(10);
        await LookAsync();
        Assert.Empty(_monitor.Current.Domains);

        Start(Good, "prod_web1", 11);
        await LookAsync();
        Assert.Equal(11, Assert.Single(_monitor.Current.Domains).Process!.Value.Pid);
        Directory.Delete(At("pods", Good), recursive: true);
        await LookAsync();
        Assert.Empty(_monitor.Current.Domains);
        Assert.Equal(2, _log.Lines.Count(line => line.Contains("is gone", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_}.slice/cri-containerd-1.scope", true)]
    [InlineData("/kubepods.slice/kubepods-pod{_}.slice/crio-1.scope/emulator", true)]
    [InlineData("/../../kubepods.slice/kubepods-pod{_}.slice/crio-1.scope", true)] // from within a cgroup namespace
    [InlineData("/kubepods/burstable/pod{-}/1", true)]
    [InlineData("/kubepods/burstable/pod99999999-2222-3333-4444-555555555555/1", false)]
    [InlineData("/kubepods.slice/kubepods-pod{_}x.slice/crio-1.scope", false)]
    [InlineData("/system.slice/x-pod{_}.slice", false)]
    [InlineData("/kubepods/pod99999999-2222-3333-4444-555555555555/1/pod{-}", false)] // a pod may make what it likes below
    [InlineData("/kubepods.slice/kubepods-pod99999999_2222_3333_4444_555555555555.slice/1/kubepods-pod{_}.slice", false)]
    [InlineData("/podman-1.scope/kubelet/kubepods/burstable/pod{-}/1", true)] // a node that is itself a container
    [InlineData("/", false)]
    public async Task A_process_counts_in_the_cgroup_of_its_pod(string cgroup, bool isOwn)
    {
        cgroup = cgroup.Replace("{_}", Good.Replace('-', '_'), StringComparison.Ordinal)
            .Replace("{-}", Good, StringComparison.Ordinal);
        Start(Good, "prod_web1", 10, cgroup);
        await LookAsync();
        Assert.Equal(isOwn ? 1 : 0, _monitor.Current.Domains.Count);
    }

    [Fact]
    public async Task Where_the_kubelets_namespace_is_not_known_none_is()
    {
        Directory.Delete(At("logs"), recursive: true);
        await LookAsync();
        Assert.Null(Assert.Single(_monitor.Current.Domains).Labels.Namespace);
    }

    [Fact]
    public async Task A_pod_whose_vms_come_and_go_without_end_is_left_out()
    {
        MakePod(Bad, "evil");
        for (int run = 0; run < 40; run++)
        {
            Start(Bad, "evil_vm", 20);
            await LookAsync();
            _processes.End(20);
            await LookAsync();
        }
        Start(Bad, "evil_vm", 20);
        await LookAsync();
        Assert.Equal(["prod_web1"], _monitor.Current.Domains.Select(d => d.Name));
        Assert.InRange(_log.Lines.Count(line => line.Contains(Bad, StringComparison.Ordinal)), 1, 33);
    }

    [Fact]
    public async Task Its_settings_are_those_that_the_api_has_of_its_vm()
    {
        Tell(new("prod", "web1", new Dictionary<string, string> { ["dram"] = "25%", ["shares"] = "300" }),
            new("other", "web1", new Dictionary<string, string> { ["dram"] = "75%" }));
        await LookAsync();
        Assert.Equal(new() { Dram = SizeSpec.Parse("25%"), Shares = 300 }, Settings());

        Tell(new VmiSettings("prod", "web1", new Dictionary<string, string>()));
        await LookAsync();
        Assert.Equal(TieringSettings.Default, Settings());
    }

    [Theory]
    [InlineData("its VM is gone", false)]
    [InlineData("no file", false)]
    [InlineData("damaged", true)]
    [InlineData("null in it", true)]
    [InlineData("a link", true)]
    [InlineData("a pipe", true)]
    [InlineData("too long", true)]
    public async Task While_the_api_says_nothing_what_it_last_said_holds(string how, bool isTold)
    {
        Tell(new VmiSettings("prod", "web1", new Dictionary<string, string> { ["dram"] = "25%" }));
        await LookAsync();
        string file = At("settings.json");
        if (how == "its VM is gone")
            Tell();
        else
            File.Delete(file);
        switch (how)
        {
            case "damaged":
                File.WriteAllText(file, "[{");
                break;
            case "null in it":
                File.WriteAllText(file, """[{"namespace":"prod","name":"web1","settings":{"dram":null}}]""");
                break;
            case "a link":
                File.WriteAllBytes(file + ".real", VmiSettingsFile.ToBytes([]));
                File.CreateSymbolicLink(file, file + ".real");
                break;
            case "a pipe":
                using (Process made = Process.Start("mkfifo", file))
                    made.WaitForExit();
                break;
            case "too long":
                File.WriteAllText(file, "[]" + new string(' ', VmiSettingsFile.MostBytes));
                break;
        }
        await LookAsync();
        await LookAsync();
        Assert.Equal(SizeSpec.Parse("25%"), Settings().Dram);
        Assert.Equal(isTold ? 1 : 0, _log.Lines.Count(line => line.Contains("settings.json", StringComparison.Ordinal)));

        File.Delete(file);
        Tell(new VmiSettings("prod", "web1", new Dictionary<string, string> { ["dram"] = "50%" }));
        await LookAsync();
        Assert.Equal(SizeSpec.Parse("50%"), Settings().Dram);
    }

    [Fact]
    public async Task A_mistake_in_an_annotation_is_shown_and_the_last_good_settings_hold()
    {
        Tell(new VmiSettings("prod", "web1", new Dictionary<string, string> { ["dram"] = "25%" }));
        await LookAsync();
        Tell(new VmiSettings("prod", "web1", new Dictionary<string, string> { ["dram"] = "lots", ["colour"] = "red" }));
        await LookAsync();
        RunningDomain domain = Assert.Single(_monitor.Current.Domains);
        Assert.Equal(SizeSpec.Parse("25%"), domain.Settings.Dram);
        Assert.Equal(["colour", "dram"], domain.SettingsProblems.Select(problem => problem.Attribute).Order());

        long version = _monitor.Current.Version;
        await LookAsync();
        Assert.Equal(version, _monitor.Current.Version); // the same mistake again is no news
    }

    [Fact]
    public async Task A_pod_whose_namespace_only_its_owner_knows_has_no_settings()
    {
        Tell(new VmiSettings("prod", "web1", new Dictionary<string, string> { ["dram"] = "25%" }));
        Directory.Delete(At("logs"), recursive: true);
        await LookAsync();
        Assert.Equal(TieringSettings.Default, Settings());
    }

    public static TheoryData<string> Tricks =>
    [
        "directory is a link", "volume is a link", "file is a link", "lock file is a link", "pipe", "socket", "directory", "1 GB",
        "very many files", "foreign lock", "foreign namespace", "foreign name", "foreign uuid", "no XML", "deep XML", "stopped",
        "no permission to say", "changes all the time", "another's process by two names",
    ];

    [Theory]
    [MemberData(nameof(Tricks))]
    public async Task A_hostile_pod_costs_a_line_and_nobody_else_anything(string trick)
    {
        string directory = MakePod(Bad, "evil");
        Play(trick, directory);
        Stopwatch watch = Stopwatch.StartNew();
        for (int look = 0; look < 5; look++)
        {
            await LookAsync();
            if (trick == "changes all the time")
                File.WriteAllText(Path.Combine(directory, "evil_vm.xml"), new string('x', look + 1));
        }

        Assert.InRange(watch.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(60)); // a million files take longer to list once
        Assert.Equal(["prod_web1"], _monitor.Current.Domains.Select(d => d.Name));
        Assert.Equal(LibvirtLink.Up, _monitor.Current.Link);
        string[] said = [.. _log.Lines.Where(line => !line.Contains(Good, StringComparison.Ordinal)
            && !line.Contains("looked for", StringComparison.Ordinal))];
        Assert.InRange(said.Length, 0, 1);
        Assert.All(said, line => Assert.Contains(Bad, line, StringComparison.Ordinal));
        Assert.All(said, line => Assert.InRange(line.Length, 1, 500));
        if (trick is not ("volume is a link" or "lock file is a link" or "foreign uuid"))
            Assert.NotEmpty(said);

        Directory.Delete(At("pods", Bad), recursive: true);
        MakePod(Bad, "evil");
        Start(Bad, "evil_vm", 30);
        await LookAsync();
        Assert.Equal(["evil_vm", "prod_web1"], _monitor.Current.Domains.Select(d => d.Name));
    }

    private void Tell(params VmiSettings[] vmis)
    {
        File.WriteAllBytes(At("new"), VmiSettingsFile.ToBytes(vmis));
        File.SetLastWriteTimeUtc(At("new"), DateTime.UnixEpoch.AddSeconds(++_told)); // two of one length may have one time else
        File.Move(At("new"), At("settings.json"), overwrite: true);
    }

    private TieringSettings Settings() => Assert.Single(_monitor.Current.Domains).Settings;

    private void Play(string trick, string directory)
    {
        string file = Path.Combine(directory, "evil_vm.xml");
        Start(Bad, "evil_vm", 20);
        switch (trick)
        {
            case "directory is a link":
                Directory.Delete(directory, recursive: true);
                Directory.CreateSymbolicLink(directory, DirectoryOf(Good));
                break;
            case "volume is a link":
                Directory.Delete(VolumeOf(Bad), recursive: true);
                Directory.CreateSymbolicLink(VolumeOf(Bad), VolumeOf(Good));
                break;
            case "file is a link":
                File.Move(file, file + ".real");
                File.CreateSymbolicLink(file, file + ".real");
                break;
            case "lock file is a link":
                File.Delete(Path.ChangeExtension(file, ".pid"));
                File.CreateSymbolicLink(Path.ChangeExtension(file, ".pid"), Path.Combine(DirectoryOf(Good), "prod_web1.pid"));
                break;
            case "pipe":
                File.Delete(file);
                using (Process made = Process.Start("mkfifo", file))
                    made.WaitForExit();
                break;
            case "socket":
                File.Delete(file);
                using (Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
                {
                    socket.Bind(new UnixDomainSocketEndPoint(At("s"))); // whose path must be short
                    File.Move(At("s"), file);
                }
                break;
            case "directory":
                File.Delete(file);
                Directory.CreateDirectory(file);
                break;
            case "1 GB":
                using (FileStream stream = new(file, FileMode.Create))
                    stream.SetLength(1 << 30);
                break;
            case "very many files":
                for (int i = 0; i < 5000; i++)
                    File.WriteAllText(Path.Combine(directory, $"{i}.xml"), "");
                break;
            case "foreign lock":
                Start(Bad, "evil_vm", 20, CgroupOf(Good));
                break;
            case "foreign namespace":
                Start(Bad, "prod_web1", 20);
                File.Delete(file);
                break;
            case "foreign name":
                File.Move(file, Path.Combine(directory, "evil_other.xml"));
                File.Move(Path.ChangeExtension(file, ".pid"), Path.Combine(directory, "evil_other.pid"));
                _processes.Start(20, Path.Combine(directory, "evil_other.pid"), CgroupOf(Bad), "qemu");
                break;
            case "foreign uuid":
                _processes.Start(20, Path.ChangeExtension(file, ".pid"), CgroupOf(Bad), "qemu", "-uuid", $"{Guid.NewGuid()}");
                break;
            case "no XML":
                File.WriteAllText(file, "\0\0\0");
                break;
            case "deep XML":
                File.WriteAllText(file, $"<domstatus><domain>{string.Concat(Enumerable.Repeat("<a>", 300_000))}");
                break;
            case "stopped":
                File.WriteAllText(file, File.ReadAllText(file).Replace("id='1'", "", StringComparison.Ordinal));
                break;
            case "no permission to say":
                File.WriteAllText(file, $"<{new string('a', 100_000)}\u001b[2J>");
                break;
            case "changes all the time":
                File.WriteAllText(file, "");
                break;
            case "another's process by two names":
                _processes.Start(20, Path.ChangeExtension(file, ".pid"), CgroupOf(Good), "qemu", "-uuid", $"{UuidOf(20)}");
                File.Copy(file, Path.Combine(directory, "evil_vm2.xml"));
                break;
            default:
                throw new ArgumentException(trick);
        }
    }

    private string MakePod(string uid, string @namespace)
    {
        Directory.CreateDirectory(At("logs", $"{@namespace}_virt-launcher-x_{uid}"));
        return Directory.CreateDirectory(DirectoryOf(uid)).FullName;
    }

    private void Start(string uid, string name, int pid, string? cgroup = null)
    {
        File.WriteAllText(Path.Combine(DirectoryOf(uid), name + ".xml"), $"""
            <domstatus state='running' pid='55'><domain type='kvm' id='1'><name>{name}</name><uuid>{UuidOf(pid)}</uuid>
            <memory unit='GiB'>4096</memory><metadata><t:tiering xmlns:t='urn:virttier:tiering:1' dram='100%' min='100%'/>
            <n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'><n:flavor name='big'><n:extraSpecs>
            <n:extraSpec name='virttier:dram'>100%</n:extraSpec></n:extraSpecs></n:flavor></n:instance></metadata>
            </domain></domstatus>
            """);
        _processes.Start(pid, Path.Combine(DirectoryOf(uid), name + ".pid"), cgroup ?? CgroupOf(uid),
            "/usr/libexec/qemu-kvm", "-uuid", UuidOf(pid).ToString());
    }

    private static Guid UuidOf(int pid) => new(pid, 0, 0, new byte[8]);

    private static string CgroupOf(string uid) => $"/kubepods.slice/kubepods-pod{uid.Replace('-', '_')}.slice/crio-1.scope";

    private string At(params string[] parts) => Path.Combine([_root, .. parts]);

    private string VolumeOf(string uid) => At("pods", uid, "volumes", "kubernetes.io~empty-dir", "libvirt-runtime");

    private string DirectoryOf(string uid) => Path.Combine(VolumeOf(uid), "qemu", "run");

    private Task LookAsync() => _monitor.LookAsync(TestContext.Current.CancellationToken);
}
