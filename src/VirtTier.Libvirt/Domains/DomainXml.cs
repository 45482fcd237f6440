// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Xml;
using System.Xml.Linq;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Domains;

/// <summary>What VirtTier reads from libvirt's XML of a running domain.</summary>
internal sealed record DomainXml(
    Guid Uuid, string Name, ulong MemoryBytes, ulong CurrentMemoryBytes, NumaHints Numa, XElement? Tiering)
{
    /// <summary>Far above what libvirt accepts in one message (VIR_NET_MESSAGE_MAX, 32 MiB).</summary>
    private const long MostCharacters = 64L << 20;

    /// <summary>Reads the XML of a domain.</summary>
    /// <exception cref="FormatException">It is not the XML of a domain.</exception>
    internal static DomainXml Parse(string xml)
    {
        XElement domain = Load(xml);
        ulong memory = ReadBytes(domain.Element("memory")) ?? throw new FormatException("the domain XML has no <memory>");
        return new(
            Guid.TryParse((string?)domain.Element("uuid"), out Guid uuid)
                ? uuid
                : throw new FormatException("the domain XML has no <uuid>"),
            (string?)domain.Element("name") ?? throw new FormatException("the domain XML has no <name>"),
            memory,
            ReadBytes(domain.Element("currentMemory")) ?? memory,
            ReadNuma(domain),
            FindTiering(domain));
    }

    private static XElement Load(string xml)
    {
        XmlReaderSettings settings = new()
        {
            DtdProcessing = DtdProcessing.Prohibit,
            XmlResolver = null,
            MaxCharactersInDocument = MostCharacters,
        };
        try
        {
            using XmlReader reader = XmlReader.Create(new StringReader(xml), settings);
            XElement root = XElement.Load(reader);
            return root.Name == "domain"
                ? root
                : throw new FormatException($"the domain XML starts with <{root.Name.LocalName}>");
        }
        catch (XmlException e)
        {
            throw new FormatException($"the domain XML cannot be read: {e.Message}", e);
        }
    }

    private static XElement? FindTiering(XElement domain) => domain.Element("metadata")?.Elements()
        .FirstOrDefault(element => element.Name.NamespaceName == TieringSettings.MetadataNamespace);

    private static NumaHints ReadNuma(XElement domain)
    {
        XElement? memory = domain.Element("numatune")?.Element("memory");
        XElement? tuning = domain.Element("cputune");
        string pins = string.Join(';', tuning?.Elements("vcpupin").Select(pin => (string?)pin.Attribute("cpuset")) ?? []);
        NumaHints hints = new(
            (string?)memory?.Attribute("mode"),
            (string?)memory?.Attribute("nodeset"),
            (string?)domain.Element("vcpu")?.Attribute("cpuset"),
            (string?)tuning?.Element("emulatorpin")?.Attribute("cpuset"),
            pins.Length > 0 ? pins : null);
        return hints == NumaHints.None ? NumaHints.None : hints;
    }

    /// <summary>Reads a size with libvirt's units, KiB by default; libvirt itself always writes KiB.</summary>
    private static ulong? ReadBytes(XElement? element)
    {
        if (!ulong.TryParse(element?.Value, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value))
            return null;
        return (string?)element!.Attribute("unit") switch
        {
            null or "KiB" or "k" => value << 10,
            "b" or "bytes" => value,
            "M" or "MiB" => value << 20,
            "G" or "GiB" => value << 30,
            var unit => throw new FormatException($"<{element.Name.LocalName}> has the unknown unit '{unit}'"),
        };
    }
}
