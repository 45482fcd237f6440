// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;

namespace VirtTier.Libvirt.Domains;

/// <summary>
/// The element of a running domain's metadata in which its heat goes along when libvirt migrates or saves it. It is in a
/// namespace of its own, beside the settings, which are their owner's.
/// </summary>
public static class HeatMetadata
{
    /// <summary>Its namespace.</summary>
    public const string Namespace = "urn:virttier:heat:1";

    /// <summary>Its name.</summary>
    internal const string ElementName = "heat";

    /// <summary>The prefix that libvirt gives it.</summary>
    internal const string Key = "virttier-heat";

    /// <summary>Longest text that is taken up, in characters; far below what libvirt passes on.</summary>
    public const int MostCharacters = 256 << 10;

    /// <summary>What a domain's metadata has of it; null if nothing.</summary>
    internal static string? Find(XElement domain) => domain.Element("metadata")?.Elements(XName.Get(ElementName, Namespace))
        .Select(element => element.Value.Trim()).FirstOrDefault(text => text.Length > 0);

    /// <summary>The element with a text; libvirt-dbus cannot take one away, so an empty one says that there is none.</summary>
    internal static string ToXml(string? text) => new XElement(ElementName, text is null ? null : new XText(text)).ToString();
}

/// <summary>
/// Heat that came with a domain, as it stood in its metadata when its run was first seen: text of somebody else's. It is
/// taken out once.
/// </summary>
/// <param name="text">The text.</param>
public sealed class CarriedHeat(string text)
{
    private string? _text = text;

    /// <summary>The text; null from the second time on.</summary>
    public string? Take() => Interlocked.Exchange(ref _text, null);
}
