// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// A node with its own libvirt, a pod with a libvirt of its own whose run directory lies in the pod's volume, and a plain QEMU:
/// all real, the kernel module and the pod's cgroup stood in for.
/// </summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class SeveralSourcesTests : IAsyncLifetime
{
    private const string Uid = "11111111-2222-3333-4444-555555555555";

    private readonly string _root = Directory.CreateTempSubdirectory("vt-sources-").FullName;
    private readonly CancellationTokenSource _stop = new();
    private readonly StandInKernel _kernel = new();
    private readonly LinuxProcesses _processes = new();
    private PrivateHost _node = null!, _pod = null!;
    private WatchedHost _watched = null!;
    private HostDomains _domains = null!;
    private Reconciler _service = null!;
    private Task[] _running = [];

    public async ValueTask InitializeAsync()
    {
        _node = await PrivateHost.StartAsync("node");
        _pod = await PrivateHost.StartAsync(
            "pod", runDirectory: At($"pods/{Uid}/volumes/kubernetes.io~empty-dir/libvirt-runtime"));
        Directory.CreateDirectory(At($"logs/prod_virt-launcher-web1_{Uid}"));
        _watched = WatchedHost.Of(_node);
        SourceOptions sources = new() { Pods = At("pods"), PodLogs = At("logs"), PidFiles = [At("*.pid")] };
        DomainMonitorOptions often = new() { Heartbeat = TimeSpan.FromMilliseconds(200) };
        _domains = new(
            _watched.Monitor, new ProcessesInPods(_processes, _ => Uid), sources, often, TimeProvider.System, _watched.Log);
        AgentConfig config = ConfigReader.Read(
            "virttier.yaml", "rules: [{match: {source: kubevirt, namespace: prod}, set: {shares: 7}}]");
        DomainLoopContext context = _kernel.Context(TimeSpan.FromMilliseconds(200), _watched.Log);
        _service = new Reconciler(config, context);
        _running =
        [
            _domains.RunOthersAsync(_stop.Token),
            _service.ReconcileForeverAsync(_domains.WaitForChangeAsync, _ => { },
                context.Loops.Add("following domains", LoopWatch.UsualLimit), _stop.Token),
        ];
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        foreach (Task running in _running)
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        if (_service is not null)
            await _service.DisposeAsync();
        _domains?.Dispose();
        if (_watched is not null)
            await _watched.DisposeAsync();
        if (_pod is not null)
            await _pod.DisposeAsync();
        if (_node is not null)
            await _node.DisposeAsync();
        _processes.Dispose();
        _kernel.Dispose();
        _stop.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    [Fact]
    public async Task Two_qemus_of_one_uuid_and_name_are_both_tiered_each_with_its_own_settings()
    {
        TestDomain domain = new("prod_web1");
        await _node.CreateAsync(domain with { Metadata = TestDomain.MetadataOf("shares='3'") });
        await _pod.CreateAsync(domain with { Metadata = TestDomain.MetadataOf("shares='10000'") });
        await UntilAsync(status => status.Count(d => d.Rounds > 0) == 2);
        AgentStatus status = _service.Status();
        DomainStatus ours = status.Domains.Find("libvirt:prod_web1"), pods = status.Domains.Find("kubevirt:prod_web1");
        Assert.Equal(ours.Uuid, pods.Uuid);
        Assert.Equal((_node.ReadPid("prod_web1"), _pod.ReadPid("prod_web1")), (ours.Pid, pods.Pid));
        Assert.Equal(("3", "7"), (Shares(ours), Shares(pods))); // the pod's owner has no say
        Assert.Throws<NotKnownException>(() => status.Domains.Find("prod_web1"));

        await _pod.VirshAsync("suspend", "prod_web1");
        await UntilAsync(all => all.Single(d => d.Source == "kubevirt").State == TieringState.Paused);
        Assert.Equal(TieringState.Tiering, _service.Status().Domains.Find("libvirt:prod_web1").State);

        Assert.True(_pod.KillQemu("prod_web1"));
        await UntilAsync(all => all.Count == 1 && all[0] is { Source: "libvirt", State: TieringState.Tiering });
        Assert.Equal([_node.ReadPid("prod_web1")], _kernel.SampledPids);

        // libvirt may take longer to see that it is gone.
        await Eventually.IsTrue(async () => (await _pod.TryVirshAsync("domstate", "prod_web1")).ExitCode != 0,
            () => "libvirt goes on with a domain whose QEMU was killed");
        await _pod.CreateAsync(domain);
        await UntilAsync(all => all.Count(d => d.Rounds > 0) == 2);
        await _node.VirshAsync("destroy", "prod_web1");
        await UntilAsync(all => all.Count == 1 && all[0].Source == "kubevirt");
        Assert.Equal([_pod.ReadPid("prod_web1")], _kernel.SampledPids);
    }

    [Fact]
    public async Task A_pods_libvirt_that_is_killed_takes_no_vm_along_and_a_plain_qemu_is_found_by_its_pid_file()
    {
        await _pod.CreateAsync(new TestDomain("prod_web1"));
        using Daemon qemu = Daemon.Start(At("qemu.log"), new Dictionary<string, string>(), "qemu-system-x86_64", "-machine", "pc",
            "-display", "none", "-nodefaults", "-name", "guest=plain,debug-threads=on", "-m", "64", "-pidfile", At("plain.pid"));
        await UntilAsync(all => all.Count(d => d.Rounds > 0) == 2);
        DomainStatus plain = _service.Status().Domains.Find("plain");
        Assert.Equal(("qemu", At("plain.pid"), qemu.Pid, 64L << 20), (plain.Source, plain.Id, plain.Pid, plain.MemoryBytes));

        await _pod.Libvirtd.EndAsync(Daemon.SigKill);
        long rounds = Rounds("prod_web1");
        await UntilAsync(_ => Rounds("prod_web1") > rounds + 1);

        await qemu.EndAsync();
        await UntilAsync(all => all.Count == 1);
    }

    private long Rounds(string name) => _service.Status().Domains.Find(name).Rounds;

    private static string Shares(DomainStatus domain) => domain.Settings.Single(s => s.Attribute == "shares").Value;

    private Task UntilAsync(Func<IReadOnlyList<DomainStatus>, bool> condition) => Eventually.IsTrue(
        () => condition(_service.Status().Domains), () => $"{_service.Status().ToJson()} {_watched}");

    private string At(string path) => Path.Combine(_root, path);
}
