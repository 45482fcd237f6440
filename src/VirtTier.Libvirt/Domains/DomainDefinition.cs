// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Domains;

/// <summary>What VirtTier reads from a domain's XML, such as libvirt hands to its hooks.</summary>
/// <param name="Uuid">The domain's UUID.</param>
/// <param name="Name">Its name.</param>
/// <param name="MemoryBytes">Its ordinary RAM, in bytes; see <see cref="RunningDomain.MemoryBytes"/>.</param>
/// <param name="Settings">Its settings, to be used only when there is no problem with any of them.</param>
/// <param name="Problems">What is wrong with them.</param>
public sealed record DomainDefinition(
    Guid Uuid, string Name, ulong MemoryBytes, TieringSettings Settings, IReadOnlyList<SettingsProblem> Problems)
{
    /// <summary>Reads the XML of a domain.</summary>
    /// <param name="xml">The XML.</param>
    /// <exception cref="FormatException">It is not the XML of a domain.</exception>
    public static DomainDefinition Parse(string xml)
    {
        DomainXml domain = DomainXml.Parse(xml);
        var (settings, problems) = TieringSettings.FromElement(domain.Tiering, domain.MemoryBytes);
        return new(domain.Uuid, domain.Name, domain.MemoryBytes, settings, problems);
    }
}
