// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// Chaos of KubeVirt's VMs: two pods of two namespaces, each with a libvirt of its own whose run directory is the pod's volume.
/// Each UUID is that of a VM in both. The pods' cgroups are stood in for: a process is in that of the pod whose mount namespace
/// it is in.
/// </summary>
internal sealed class PodChaos : SourceChaos
{
    private static readonly string[] s_namespaces = ["prod", "test"];

    private readonly Pod[] _pods;
    private readonly Dictionary<int, VmSettings> _settings = [];

    private PodChaos(int seed)
        : base(seed) =>
        _pods = [.. s_namespaces.Select((space, i) => new Pod(space, new Guid(i + 1, 0, 0, new byte[8]).ToString()))];

    protected override SourceOptions Sources => new()
    {
        Pods = At("pods"),
        PodLogs = At("logs"),
        VmiSettings = At("settings/settings.json"),
    };

    protected override IReadOnlyList<string> Directories => [At("pods"), At("settings"), At("logs")];

    internal static async Task<PodChaos> StartAsync(int seed)
    {
        PodChaos chaos = new(seed);
        Directory.CreateDirectory(chaos.At("settings"));
        foreach (Pod pod in chaos._pods)
        {
            Directory.CreateDirectory(chaos.At($"logs/{pod.Namespace}_virt-launcher_{pod.Uid}"));
            pod.Host = await PrivateHost.StartAsync(
                pod.Namespace, runDirectory: chaos.At($"pods/{pod.Uid}/volumes/kubernetes.io~empty-dir/libvirt-runtime"));
        }
        return chaos;
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (Pod pod in _pods.Where(pod => pod.Host is not null))
            await pod.Host.DisposeAsync();
        await base.DisposeAsync();
    }

    protected override IHostProcesses Seen(LinuxProcesses processes) => new ProcessesInPods(
        processes, pid => Array.Find(_pods, pod => pod.Host.Owns(pid))?.Uid);

    protected override async Task<Vm> StartQemuAsync(int number)
    {
        Pod pod = PodOf(number);
        TestDomain domain = new(NameOf(number))
        {
            Uuid = new Guid(100 + (number / 2), 0, 0, new byte[8]),
            MemoryMiB = MemoryMiB,
            Metadata = TestDomain.MetadataOf("shares='9999'"), // which has no say
        };
        // libvirt may take longer to see that one was killed.
        await Eventually.IsTrue(async () => (await pod.Host.TryVirshAsync("domstate", domain.Name)).ExitCode != 0,
            () => $"libvirt goes on with {domain.Name}");
        await pod.Host.CreateAsync(domain);
        return new(number, $"{pod.Uid}/{domain.Name}", domain.Name, pod.Host.ReadPid(domain.Name), null)
        {
            Settings = _settings.GetValueOrDefault(number, VmSettings.None),
        };
    }

    protected override async Task EndQemuAsync(Vm vm, int signal)
    {
        PrivateHost host = PodOf(vm.Number).Host;
        if (signal == Daemon.SigKill)
            Assert.True(host.KillQemu(vm.Name));
        else
            await host.VirshAsync("destroy", vm.Name);
        await Eventually.IsTrue(() => !Directory.Exists($"/proc/{vm.Pid}"), () => $"{vm.Name} does not end");
    }

    /// <summary>By libvirt: a QEMU that does not answer would make it wait.</summary>
    protected override Task StopQemuAsync(Vm vm, bool stop) =>
        PodOf(vm.Number).Host.TryVirshAsync(stop ? "suspend" : "resume", vm.Name);

    protected override Task WriteSettingsAsync(Vm vm)
    {
        _settings[vm.Number] = vm.Settings;
        WholeFile.Replace(At("settings/settings.json"), VmiSettingsFile.ToBytes(_settings.Select(known => new VmiSettings(
            PodOf(known.Key).Namespace, string.Create(CultureInfo.InvariantCulture, $"web{known.Key}"),
            Annotations(known.Value)))));
        return Task.CompletedTask;
    }

    /// <summary>What an owner may do in the volume, or a libvirt that is restarted.</summary>
    protected override async Task LeaveLitterAsync()
    {
        Pod pod = _pods[Chance.Next(_pods.Length)];
        switch (Chance.Next(3))
        {
            case 0:
                Note($"a link in {pod.Namespace}");
                string link = Path.Combine(pod.Host.RunDirectory, "link.xml");
                if (!File.Exists(link))
                    File.CreateSymbolicLink(link, "/etc/hostname");
                break;
            case 1:
                Note($"files of nobody in {pod.Namespace}");
                await File.WriteAllTextAsync(Path.Combine(pod.Host.RunDirectory, "ghost.xml"), "<domstatus/>");
                await File.WriteAllTextAsync(Path.Combine(pod.Host.RunDirectory, "ghost.pid"), "1\n");
                break;
            default:
                Note($"restart libvirtd of {pod.Namespace}");
                await pod.Host.Libvirtd.EndAsync(Daemon.SigKill);
                await pod.Host.StartLibvirtdAsync();
                break;
        }
    }

    private static Dictionary<string, string> Annotations(VmSettings settings)
    {
        Dictionary<string, string> annotations = [];
        if (settings.IsBad)
            annotations["shares"] = "many";
        if (settings.Shares is { } shares)
            annotations["shares"] = shares.ToString(CultureInfo.InvariantCulture);
        if (settings.IsOff)
            annotations["mode"] = "off";
        return annotations;
    }

    private Pod PodOf(int number) => _pods[number % _pods.Length];

    private string NameOf(int number) => string.Create(CultureInfo.InvariantCulture, $"{PodOf(number).Namespace}_web{number}");

    private sealed record Pod(string Namespace, string Uid)
    {
        internal PrivateHost Host { get; set; } = null!;
    }
}
