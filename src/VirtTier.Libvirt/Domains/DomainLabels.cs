// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Domains;

/// <summary>What a domain's definition says about it beside its settings: what rules go by.</summary>
/// <param name="Title">Its title.</param>
/// <param name="Namespace">The namespace of its KubeVirt VM; null where it is none.</param>
/// <param name="Flavor">The name of its Nova flavor; null where it has none.</param>
/// <param name="FlavorSettings">What extra specs of that flavor ask for (<c>virttier:dram</c>).</param>
/// <param name="FlavorProblem">Why these do not count; null when they do.</param>
/// <param name="Metadata">All attributes of its metadata, a line each: <c>element@attribute=value</c>. One text, so that two
/// domains that say the same are equal.</param>
public sealed record DomainLabels(
    string? Title, string? Namespace, string? Flavor, TieringSettings FlavorSettings, string? FlavorProblem, string Metadata)
{
    private const string NovaNamespace = "http://openstack.org/xmlns/libvirt/nova/";
    private const string KubevirtNamespace = "http://kubevirt.io";
    private const string SpecPrefix = "virttier:";

    // Metadata may be 100 kB of anything; what rules are about is short.
    private const int MostAttributes = 200;
    private const int LongestValue = 256;

    /// <summary>What whoever manages the domain calls it by, a line each: a tag of Proxmox VE.</summary>
    public string Labels { get; init; } = "";

    /// <summary>Nothing is said.</summary>
    public static DomainLabels None { get; } = new(null, null, null, TieringSettings.Default, null, "");

    internal static DomainLabels Read(XElement domain, string name, ulong memoryBytes)
    {
        XElement[] elements = [.. domain.Element("metadata")?.Elements() ?? []];
        // nova/1.0 has one name of the flavor for all releases; 1.1 added to it.
        XElement? flavor = elements.Where(e => e.Name.NamespaceName.StartsWith(NovaNamespace, StringComparison.Ordinal))
            .Elements().FirstOrDefault(e => e.Name.LocalName == "flavor");
        var (settings, problem) = ReadSpecs(flavor, memoryBytes);
        bool isKubevirt = elements.Any(e => e.Name.NamespaceName == KubevirtNamespace);
        DomainLabels labels = new(
            (string?)domain.Element("title"),
            isKubevirt && name.IndexOf('_', StringComparison.Ordinal) is > 0 and var end ? name[..end] : null,
            (string?)flavor?.Attribute("name"),
            settings,
            problem,
            string.Join('\n', elements.SelectMany(e => e.DescendantsAndSelf()).SelectMany(e => e.Attributes())
                .Where(a => !a.IsNamespaceDeclaration && a.Value.Length <= LongestValue)
                .Take(MostAttributes)
                .Select(a => $"{a.Parent!.Name.LocalName}@{a.Name.LocalName}={a.Value.ReplaceLineEndings(" ")}")));
        return labels == None ? None : labels;
    }

    private static (TieringSettings Settings, string? Problem) ReadSpecs(XElement? flavor, ulong memoryBytes)
    {
        KeyValuePair<string, string>[] attributes = [.. (flavor?.Descendants() ?? [])
            .Where(e => e.Name.LocalName == "extraSpec")
            .Select(e => KeyValuePair.Create((string?)e.Attribute("name") ?? "", e.Value.Trim()))
            .Where(spec => spec.Key.StartsWith(SpecPrefix, StringComparison.Ordinal))
            .Select(spec => KeyValuePair.Create(spec.Key[SpecPrefix.Length..], spec.Value))];
        if (attributes.Length == 0)
            return (TieringSettings.Default, null);
        var (settings, problems) = TieringSettings.FromAttributes(attributes, memoryBytes);
        return problems.Count == 0
            ? (settings, null)
            : (TieringSettings.Default, $"extra spec {SpecPrefix}{problems[0].Attribute}: {problems[0].Message}");
    }
}
