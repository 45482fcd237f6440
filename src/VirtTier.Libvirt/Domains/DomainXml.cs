// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Xml;
using System.Xml.Linq;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>What VirtTier reads from libvirt's XML of a running domain.</summary>
internal sealed record DomainXml(
    Guid Uuid, string Name, ulong MemoryBytes, ulong CurrentMemoryBytes, NumaHints Numa, XElement? Tiering)
{
    /// <summary>libvirt's number of the domain's run: another one each time that it starts. Null in the definition of a domain
    /// that does not run.</summary>
    internal string? RunId { get; private init; }

    /// <summary>The namespace of an element of the metadata that is VirtTier's by it, but not of this version; null if there
    /// is none.</summary>
    internal string? OddNamespace { get; private init; }

    /// <summary>The heat in the metadata; null if there is none.</summary>
    internal string? Heat { get; private init; }

    /// <summary>What rules go by.</summary>
    internal DomainLabels Labels { get; private init; } = DomainLabels.None;

    // libvirt's longest string (VIR_NET_MESSAGE_STRING_MAX).
    private const int MostCharacters = 4 << 20;

    /// <summary>A name is that of files, such as NAME.pid.</summary>
    private const int LongestName = 255;

    private const ulong MostBytes = 1UL << 52;

    // As many as a machine of QEMU's has slots for (ACPI).
    private const int MostDevices = 256;

    /// <summary>Reads the XML of a domain.</summary>
    /// <exception cref="FormatException">It is not the XML of a domain.</exception>
    internal static DomainXml Parse(string xml)
    {
        XElement domain = Load(xml);
        ulong total = ReadBytes(domain.Element("memory")) ?? throw new FormatException("the domain XML has no <memory>");
        ulong ordinary = Without(total, ReadUnusable(domain));
        return new(
            Guid.TryParse((string?)domain.Element("uuid"), out Guid uuid)
                ? uuid
                : throw new FormatException("the domain XML has no <uuid>"),
            ReadName(domain),
            ordinary,
            ReadBytes(domain.Element("currentMemory")) ?? ordinary,
            ReadNuma(domain),
            FindTiering(domain))
        {
            RunId = (string?)domain.Attribute("id"),
            OddNamespace = FindOddNamespace(domain),
            Heat = HeatMetadata.Find(domain),
            Labels = DomainLabels.Read(domain, ReadName(domain), ordinary),
        };
    }

    private static string ReadName(XElement domain)
    {
        string name = (string?)domain.Element("name") ?? throw new FormatException("the domain XML has no <name>");
        return name.Length is > 0 and <= LongestName
            ? name
            : throw new FormatException($"the domain XML has a <name> of {name.Length} characters: 1 to {LongestName} are right");
    }

    private static XElement Load(string xml)
    {
        if (xml.Length > MostCharacters)
            throw new FormatException($"the domain XML has {xml.Length} characters: at most {MostCharacters} are read");
        XmlReaderSettings settings = new()
        {
            DtdProcessing = DtdProcessing.Prohibit,
            XmlResolver = null,
        };
        try
        {
            using (XmlReader shape = XmlReader.Create(new StringReader(xml), settings))
                XmlShape.Check(shape, "the domain XML", within: 0);
            using XmlReader reader = XmlReader.Create(new StringReader(xml), settings);
            XElement root = XElement.Load(reader);
            return root.Name == "domain"
                ? root
                : throw new FormatException($"the domain XML starts with <{Shorten.ForMessage(root.Name.LocalName)}>");
        }
        catch (XmlException e)
        {
            throw new FormatException($"the domain XML cannot be read: {Shorten.Sentence(e.Message)}", e);
        }
    }

    private static XElement? FindTiering(XElement domain) => domain.Element("metadata")?.Elements()
        .FirstOrDefault(element => element.Name.NamespaceName == TieringSettings.MetadataNamespace);

    /// <summary>What of a domain's total memory is no RAM, or none now. libvirt counts every memory device in it,
    /// a virtio-mem at its full size.</summary>
    private static string? FindOddNamespace(XElement domain) => domain.Element("metadata")?.Elements()
        .Select(element => element.Name.NamespaceName)
        .FirstOrDefault(name => name is not (TieringSettings.MetadataNamespace or HeatMetadata.Namespace)
            && name.StartsWith(TieringSettings.NamespacePrefix, StringComparison.OrdinalIgnoreCase));

    private static ulong ReadUnusable(XElement domain)
    {
        ulong unusable = 0;
        foreach (XElement device in domain.Element("devices")?.Elements("memory") ?? [])
        {
            XElement? target = device.Element("target");
            ulong size = ReadBytes(target?.Element("size")) ?? 0;
            ulong usable = (string?)device.Attribute("model") switch
            {
                "nvdimm" or "virtio-pmem" or "sgx-epc" => 0,
                // The current size is there while the domain runs; what is requested is what it starts with.
                "virtio-mem" =>
                    Math.Min(size, ReadBytes(target?.Element("current")) ?? ReadBytes(target?.Element("requested")) ?? size),
                _ => size,
            };
            unusable = Math.Min(unusable + (size - usable), MostBytes); // thousands of them would be more than a number holds
        }
        return unusable;
    }

    // A definition that makes no sense, in which the devices have more than the whole, says nothing of what is left.
    private static ulong Without(ulong total, ulong unusable) => unusable < total ? total - unusable : total;

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
            pins.Length > 0 ? pins : null)
        {
            RestrictiveCells = ReadRestrictiveCells(domain),
            Cells = ReadCells(domain),
            CellNodes = ReadCells(domain) is null ? null : ReadCellNodes(domain),
            CellDevices = ReadCells(domain) is null ? null : ReadCellDevices(domain),
        };
        return hints == NumaHints.None ? NumaHints.None : hints;
    }

    private static string? ReadRestrictiveCells(XElement domain)
    {
        string cells = string.Join(';', domain.Element("numatune")?.Elements("memnode")
            .Where(cell => (string?)cell.Attribute("mode") == "restrictive" && !cell.Attributes().Any(a => a.Value.Contains(';')))
            .Select(cell => $"{(string?)cell.Attribute("cellid")}:{(string?)cell.Attribute("nodeset")}") ?? []);
        return cells.Length > 0 ? cells : null;
    }

    private static string? ReadCells(XElement domain)
    {
        XElement[] cells = [.. domain.Element("cpu")?.Element("numa")?.Elements("cell") ?? []];
        string text = string.Join(';', cells.Select((cell, place) => string.Create(CultureInfo.InvariantCulture,
            $"{(string?)cell.Attribute("id") ?? place.ToString(CultureInfo.InvariantCulture)}:{(string?)cell.Attribute("cpus")}:"
                + $"{ReadBytes((string?)cell.Attribute("memory"), (string?)cell.Attribute("unit"), "cell") / 1024 ?? 0}")));
        return cells.Length > 0 && !cells.Any(cell => HasSeparator(cell, "id", "cpus")) ? text : null;
    }

    private static string? ReadCellNodes(XElement domain)
    {
        XElement[] nodes = [.. domain.Element("numatune")?.Elements("memnode") ?? []];
        string text = string.Join(';', nodes.Where(node => !HasSeparator(node, "cellid", "mode", "nodeset")).Select(
            node => $"{(string?)node.Attribute("cellid")}:{(string?)node.Attribute("mode") ?? "strict"}:"
                + (string?)node.Attribute("nodeset")));
        return text.Length > 0 ? text : null;
    }

    /// <summary>The memory devices of which the guest's cell is said, and libvirt says where QEMU has put them: it does while the
    /// domain runs, of a virtio-mem since 9.4.</summary>
    private static string? ReadCellDevices(XElement domain)
    {
        List<string> devices = [];
        foreach (XElement device in domain.Element("devices")?.Elements("memory") ?? [])
        {
            XElement? target = device.Element("target");
            string? address = (string?)device.Attribute("model") switch
            {
                "dimm" => (string?)device.Element("address")?.Attribute("base"),
                "virtio-mem" => (string?)target?.Element("address")?.Attribute("base"),
                _ => null, // no RAM
            };
            if (address?.StartsWith("0x", StringComparison.Ordinal) == true
                && ulong.TryParse(
                    address.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong first)
                && first < MostBytes
                && int.TryParse(target?.Element("node")?.Value, NumberStyles.None, CultureInfo.InvariantCulture, out int cell)
                && ReadBytes(target?.Element("size")) is > 0 and var size)
                devices.Add(string.Create(CultureInfo.InvariantCulture, $"{cell}:{first}:{size / 1024}"));
        }
        return devices.Count > 0 ? string.Join(';', devices.Take(MostDevices)) : null;
    }

    private static bool HasSeparator(XElement element, params string[] attributes) =>
        attributes.Any(name => ((string?)element.Attribute(name))?.AsSpan().ContainsAny(':', ';') ?? false);

    /// <summary>Reads a size with libvirt's units, KiB by default; libvirt itself always writes KiB.</summary>
    /// <exception cref="FormatException">The unit is unknown, or the size beyond any machine.</exception>
    private static ulong? ReadBytes(XElement? element) =>
        element is null ? null : ReadBytes(element.Value, (string?)element.Attribute("unit"), element.Name.LocalName);

    private static ulong? ReadBytes(string? number, string? unitName, string element)
    {
        if (!ulong.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out ulong value))
            return null;
        int shift = unitName switch
        {
            null or "KiB" or "k" => 10,
            "b" or "bytes" => 0,
            "M" or "MiB" => 20,
            "G" or "GiB" => 30,
            "T" or "TiB" => 40,
            var unit =>
                throw new FormatException($"<{element}> has the unknown unit '{Shorten.ForMessage(unit)}'"),
        };
        return value <= MostBytes >> shift
            ? value << shift
            : throw new FormatException($"<{element}> is more memory than a processor can address, 4096 TiB");
    }
}
