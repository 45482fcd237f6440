// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>Which sources there are beside the host's own libvirt, and where they have what they tell.</summary>
public sealed record SourceOptions
{
    /// <summary>Patterns of the paths of QEMUs' pid files; see <see cref="PathPattern"/>.</summary>
    public IReadOnlyList<string> PidFiles { get; init; } = [];

    /// <summary>Patterns of cgroups in which QEMUs run, from the root of cgroups.</summary>
    public IReadOnlyList<string> Cgroups { get; init; } = [];

    /// <summary>Whether Proxmox VE's VMs are looked for.</summary>
    public bool Proxmox { get; init; }

    /// <summary>The kubelet's directory of pods; null: pods are not looked at.</summary>
    public string? Pods { get; init; }

    /// <summary>Where cgroups are.</summary>
    public string CgroupRoot { get; init; } = "/sys/fs/cgroup";

    /// <summary>Where Proxmox VE has its pid files.</summary>
    public string ProxmoxRun { get; init; } = "/run/qemu-server";

    /// <summary>Where Proxmox VE has the configurations of this host's VMs.</summary>
    public string ProxmoxConfig { get; init; } = "/etc/pve/qemu-server";

    /// <summary>Where the kubelet has the logs of pods, a directory each, whose name begins with the pod's namespace.</summary>
    public string PodLogs { get; init; } = "/var/log/pods";

    /// <summary>What KubeVirt's API says of the VMs in pods, see <see cref="VmiSettingsFile"/>.</summary>
    public string VmiSettings { get; init; } = VmiSettingsFile.DefaultPath;
}
