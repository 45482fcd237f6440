// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Libvirt;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>The host as the checks see it.</summary>
/// <param name="Root">The root of its file system, <c>/</c> but in tests.</param>
/// <param name="Bus">Its system bus.</param>
/// <param name="Samplers">Its kernel module.</param>
/// <param name="Domains">What runs on it, from one look at each source.</param>
/// <param name="Config">The agent's configuration; the defaults when it cannot be used.</param>
/// <param name="IsRoot">Whether everything can be read.</param>
internal sealed record DoctorHost(
    string Root, IBus Bus, IGuestSamplerFactory Samplers, DomainSnapshot Domains, AgentConfig Config, bool IsRoot)
{
    // The longest is /proc/cpuinfo, with some 2 KiB a processor.
    private const int MostBytes = 16 << 20;

    /// <summary>Where a path of the host is.</summary>
    /// <param name="path">An absolute path.</param>
    public string At(string path) => Path.Combine(Root, path.TrimStart('/'));

    /// <summary>Whether there is a file or directory of that path.</summary>
    public bool Has(string path) => Path.Exists(At(path));

    /// <summary>The text of a file without white space around it; null when there is none, it may not be read,
    /// or is longer than any of its kind.</summary>
    public string? Read(string path)
    {
        try
        {
            return BoundedFile.ReadText(At(path), MostBytes).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Whether a switch of the kernel is on: <c>Y</c>, <c>1</c> or <c>on</c>.</summary>
    public bool IsOn(string path) => Read(path) is "Y" or "1" or "on";

    /// <summary>Whether libvirt's VMs are none of VirtTier's, as the configuration says.</summary>
    public bool IsLibvirtOff => Domains.Source == LibvirtSource.Off;

    /// <summary>The daemon that has libvirt's QEMU driver here, and its unit: <c>libvirtd</c> or, where libvirt is modular,
    /// <c>virtqemud</c>; null if neither is installed.</summary>
    public string? LibvirtDaemon => (Has("/usr/sbin/libvirtd"), Has("/usr/sbin/virtqemud")) switch
    {
        // Starting the one would stop the other.
        (true, true) => Has("/etc/systemd/system/sockets.target.wants/virtqemud.socket") ? "virtqemud" : "libvirtd",
        (true, false) => "libvirtd",
        (false, true) => "virtqemud",
        _ => null,
    };

    /// <summary>The units that start a daemon: where it has a socket, which starts it for whoever calls and outlives it, that
    /// first.</summary>
    public string UnitsOf(string daemon) =>
        Has($"/etc/systemd/system/sockets.target.wants/{daemon}.socket") || Has($"/usr/lib/systemd/system/{daemon}.socket")
            || Has($"/lib/systemd/system/{daemon}.socket")
            ? $"{daemon}.socket {daemon}.service" : daemon;

    /// <summary>The command that installs a package, by the host's own package manager.</summary>
    /// <param name="debian">Its name in Debian.</param>
    /// <param name="fedora">Its name in Fedora and its kin, where that is another one.</param>
    public string Install(string debian, string? fedora = null) =>
        IsRpm ? $"dnf install {fedora ?? debian}" : $"apt install {debian}";

    /// <summary>The command that installs a package once more.</summary>
    public string Reinstall(string package) => IsRpm ? $"dnf reinstall {package}" : $"apt install --reinstall {package}";

    /// <summary>The command that installs a kernel's headers; names of more packages may follow it.</summary>
    /// <param name="release">The kernel's release.</param>
    public string InstallHeaders(string release)
    {
        // Proxmox builds kernels of its own.
        string kind = release.EndsWith("-pve", StringComparison.Ordinal) ? "proxmox" : "linux";
        return Install(ShellLine.Of($"{kind}-headers-{release}"), ShellLine.Of($"kernel-devel-{release}"));
    }

    private bool IsRpm => Has("/usr/bin/dnf") && !Has("/usr/bin/apt");
}

/// <summary>One group of prerequisites.</summary>
internal interface IDoctorCheck
{
    /// <summary>Looks at the host; changes nothing.</summary>
    Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel);
}
