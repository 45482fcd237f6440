// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Xml.Linq;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Settings;

/// <summary>What a domain's owner asks for in its metadata. What is unset there is left to the host's configuration.</summary>
public sealed record TieringSettings
{
    /// <summary>The XML namespace of the metadata element.</summary>
    public const string MetadataNamespace = "urn:virttier:tiering:1";

    /// <summary>What the namespaces of all versions begin with.</summary>
    public const string NamespacePrefix = "urn:virttier";

    /// <summary>The name of the metadata element.</summary>
    public const string ElementName = "tiering";

    /// <summary>The weight of a domain for which nobody says one.</summary>
    public const int DefaultShares = 100;

    /// <summary>The attributes that there are.</summary>
    public static IReadOnlyList<string> AttributeNames { get; } = ["dram", "min", "max", "shares", "mode", "rate", "split"];

    /// <summary>The settings of a domain that says nothing.</summary>
    public static TieringSettings Default { get; } = new();

    /// <summary>How much of the domain's memory may be in DRAM.</summary>
    public SizeSpec Dram { get; init; }

    /// <summary>What <c>auto</c> never goes below; never <c>auto</c> itself.</summary>
    public SizeSpec Min { get; init; }

    /// <summary>What <c>auto</c> never exceeds; never <c>auto</c> itself.</summary>
    public SizeSpec Max { get; init; }

    /// <summary>The weight among <c>auto</c> domains, within <see cref="Limits.Shares"/>; null leaves it to the host.</summary>
    public int? Shares { get; init; }

    /// <summary>Whether to move pages, only measure, or leave the domain alone; null leaves it to the host.</summary>
    public TieringMode? Mode { get; init; }

    /// <summary>The most migration traffic for this domain; null leaves it to the host.</summary>
    public ByteRate? Rate { get; init; }

    /// <summary>The most of this domain's 2 MiB blocks that may be split at the same time; null leaves it to the host.</summary>
    public BlockShare? Split { get; init; }

    /// <summary>Reads settings from attributes, of a domain or, such as the host's defaults, of none.</summary>
    /// <param name="attributes">Names and values.</param>
    /// <param name="memoryBytes">The domain's memory, which sizes are held against; null when there is no domain.</param>
    /// <returns>The settings, to be used only when there is no problem with any of them.</returns>
    public static (TieringSettings Settings, IReadOnlyList<SettingsProblem> Problems) FromAttributes(
        IEnumerable<KeyValuePair<string, string>> attributes, ulong? memoryBytes = null)
    {
        ArgumentNullException.ThrowIfNull(attributes);
        Parser parser = new(memoryBytes);
        return parser.End(attributes.Aggregate(Default, (settings, a) => parser.ReadAttribute(settings, a.Key, a.Value)));
    }

    /// <summary>Reads <c>&lt;tiering dram="2GiB"/&gt;</c>.</summary>
    /// <param name="element">The metadata element; null is a domain that says nothing.</param>
    /// <param name="memoryBytes">The domain's memory.</param>
    /// <returns>The settings, to be used only when there is no problem with any of them.</returns>
    internal static (TieringSettings Settings, IReadOnlyList<SettingsProblem> Problems) FromElement(
        XElement? element, ulong memoryBytes)
    {
        if (element is null)
            return (Default, []);
        Parser parser = new(memoryBytes);
        return parser.End(parser.Read(element));
    }

    /// <summary>What is said here, as <see cref="FromAttributes"/> reads it.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> ToAttributes()
    {
        (string Name, string? Value)[] attributes =
        [
            ("dram", Dram.ToString()),
            ("min", Min.ToString()),
            ("max", Max.ToString()),
            ("shares", Shares?.ToString(CultureInfo.InvariantCulture)),
            ("mode", Mode?.ToAttribute()),
            ("rate", Rate?.ToString()),
            ("split", Split?.ToString()),
        ];
        return [.. attributes.Where(a => !string.IsNullOrEmpty(a.Value)).Select(a => KeyValuePair.Create(a.Name, a.Value!))];
    }

    /// <summary>These settings, with what they leave unset taken from <paramref name="defaults"/>.</summary>
    public TieringSettings Over(TieringSettings defaults)
    {
        ArgumentNullException.ThrowIfNull(defaults);
        return new TieringSettings
        {
            Dram = Dram.IsSet ? Dram : defaults.Dram,
            Min = Min.IsSet ? Min : defaults.Min,
            Max = Max.IsSet ? Max : defaults.Max,
            Shares = Shares ?? defaults.Shares,
            Mode = Mode ?? defaults.Mode,
            Rate = Rate ?? defaults.Rate,
            Split = Split ?? defaults.Split,
        };
    }

    /// <summary>Reads settings, and notes what is wrong with them.</summary>
    /// <param name="memoryBytes">The domain's memory; without it, sizes are not held against it.</param>
    private sealed class Parser(ulong? memoryBytes)
    {
        private const int MostProblems = 10;
        private readonly List<SettingsProblem> _problems = [];
        private readonly Dictionary<string, string> _said = [];

        public (TieringSettings Settings, IReadOnlyList<SettingsProblem> Problems) End(TieringSettings settings)
        {
            if (_problems.Count == 0)
                CheckBounds(settings);
            return (settings, _problems);
        }

        public TieringSettings Read(XElement element)
        {
            TieringSettings settings = TieringSettings.Default;
            if (element.Name.LocalName != TieringSettings.ElementName)
            {
                Refuse(TieringSettings.ElementName, element.Name.LocalName,
                    $"the element is <{Shorten.ForMessage(element.Name.LocalName)}>: it must be <{TieringSettings.ElementName}>");
            }

            foreach (XAttribute attribute in element.Attributes().Where(a => !a.IsNamespaceDeclaration))
                settings = ReadAttribute(settings, attribute.Name.ToString(), attribute.Value);
            if (element.HasElements || element.Value.Trim().Length > 0)
                Refuse(TieringSettings.ElementName, element.Value, "the element has content: all settings are attributes");
            return settings;
        }

        public TieringSettings ReadAttribute(TieringSettings settings, string name, string value)
        {
            // XML has each once; Proxmox VE's tags, in no order that their owner chose, may not.
            if (_said.TryGetValue(name, out string? before) && before != value)
                Refuse(name, value,
                    $"it is given twice, as '{Shorten.ForMessage(before)}' and '{Shorten.ForMessage(value)}': keep one");
            _said[name] = value;
            switch (name)
            {
                case "dram":
                    return settings with { Dram = ReadSize(name, value, autoAllowed: true) };
                case "min":
                    return settings with { Min = ReadSize(name, value, autoAllowed: false) };
                case "max":
                    return settings with { Max = ReadSize(name, value, autoAllowed: false) };
                case "shares":
                    return settings with { Shares = ReadShares(name, value) };
                case "mode":
                    return settings with { Mode = ReadMode(name, value) };
                case "rate":
                    return settings with { Rate = ReadRate(name, value) };
                case "split":
                    return settings with { Split = ReadSplit(name, value) };
                default:
                    Refuse(name, value, $"unknown attribute: there are {string.Join(", ", TieringSettings.AttributeNames)}");
                    return settings;
            }
        }

        private SizeSpec ReadSize(string name, string value, bool autoAllowed)
        {
            if (!SizeSpec.TryParse(value, out SizeSpec size, out string? error))
                Refuse(name, value, error);
            else if (size.Kind == SizeKind.Auto && !autoAllowed)
                Refuse(name, value, $"{name} bounds what auto may choose: give a size or a percentage");
            else if (memoryBytes is ulong memory && size.Resolve(memory) > memory)
            {
                Refuse(name, value, $"'{Shorten.ForMessage(value)}' is more than the domain's memory: "
                    + $"give at most {BinaryUnits.Format(memory)}, or a percentage");
            }

            return size;
        }

        private int? ReadShares(string name, string value)
        {
            if (int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int shares)
                && Limits.Shares.Allows(shares))
            {
                return shares;
            }

            Refuse(name, value,
                $"'{Shorten.ForMessage(value)}' is not a weight: give a whole number from {Limits.Shares}");
            return null;
        }

        private TieringMode? ReadMode(string name, string value)
        {
            switch (value)
            {
                case "enforce":
                    return TieringMode.Enforce;
                case "observe":
                    return TieringMode.Observe;
                case "off":
                    return TieringMode.Off;
                default:
                    Refuse(name, value, $"'{Shorten.ForMessage(value)}' is not a mode: there are enforce, observe and off");
                    return null;
            }
        }

        private ByteRate? ReadRate(string name, string value)
        {
            if (ByteRate.TryParse(value, out ByteRate rate, out string? error))
                return rate;
            Refuse(name, value, error);
            return null;
        }

        private BlockShare? ReadSplit(string name, string value)
        {
            if (BlockShare.TryParse(value, out BlockShare share, out string? error))
                return share;
            Refuse(name, value, error);
            return null;
        }

        private void CheckBounds(TieringSettings settings)
        {
            // Without a domain's memory a share and a size cannot be compared.
            if (memoryBytes is null && settings.Min.Kind != settings.Max.Kind)
                return;
            ulong memory = memoryBytes ?? ulong.MaxValue;
            if (settings.Min.Resolve(memory) > settings.Max.Resolve(memory))
            {
                Refuse("min", settings.Min.ToString(),
                    $"min is {settings.Min}, above max, which is {settings.Max}: lower min or raise max");
            }
        }

        private void Refuse(string attribute, string value, string message)
        {
            if (_problems.Count < MostProblems) // garbage may have thousands: the first ones tell enough
                _problems.Add(new(Shorten.ForMessage(attribute), Shorten.ForMessage(value), message));
        }
    }
}

/// <summary>What is done for a domain.</summary>
public enum TieringMode
{
    /// <summary>Its pages are kept where they belong.</summary>
    Enforce,

    /// <summary>It is measured; no page is moved.</summary>
    Observe,

    /// <summary>It is left alone.</summary>
    Off,
}

/// <summary>Names of the modes.</summary>
public static class TieringModeNames
{
    /// <summary>The mode as the metadata element has it: <c>enforce</c>, <c>observe</c> or <c>off</c>.</summary>
    /// <param name="mode">The mode.</param>
    public static string ToAttribute(this TieringMode mode) => mode switch
    {
        TieringMode.Observe => "observe",
        TieringMode.Off => "off",
        _ => "enforce",
    };
}

/// <summary>One thing that is wrong with a domain's settings.</summary>
/// <param name="Attribute">The attribute, or <c>tiering</c> when it is the element as a whole.</param>
/// <param name="Value">The value found, shortened.</param>
/// <param name="Message">A sentence: what is wrong and what would be right.</param>
public sealed record SettingsProblem(string Attribute, string Value, string Message);
