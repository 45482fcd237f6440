// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>
/// What tells a domain from all others that run on the host: who tells of it, and as what. Its UUID does not (one definition may
/// run on two connections, and KubeVirt's repeat), nor does its name.
/// </summary>
/// <param name="Source">The source, one of <see cref="DomainSources"/>.</param>
/// <param name="Id">What the source tells it from others by; of libvirt's its name.</param>
public readonly record struct DomainKey(string Source, string Id)
{
    /// <summary>All of it, as it is named to VirtTier where less is ambiguous: <c>libvirt:web1</c>.</summary>
    public string Full => $"{Source}:{Id}";

    /// <summary>libvirt's name, or UUID, of a domain that may be named in full.</summary>
    public static string InLibvirt(string name)
    {
        const string Prefix = DomainSources.Libvirt + ":";
        ArgumentNullException.ThrowIfNull(name);
        return name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : name;
    }

    /// <summary>For people, who mean libvirt's unless they say otherwise.</summary>
    public override string ToString() => Source == DomainSources.Libvirt ? Id : Full;
}

/// <summary>The names of the sources of domains.</summary>
public static class DomainSources
{
    /// <summary>The host's own libvirt.</summary>
    public const string Libvirt = "libvirt";

    /// <summary>KubeVirt's pods.</summary>
    public const string Kubevirt = "kubevirt";

    /// <summary>Proxmox VE.</summary>
    public const string Proxmox = "proxmox";

    /// <summary>QEMUs that the configuration says where to find.</summary>
    public const string Qemu = "qemu";

    /// <summary>All of them. What an earlier one tells of is none of a later one's.</summary>
    public static IReadOnlyList<string> All { get; } = [Libvirt, Proxmox, Kubevirt, Qemu];
}
