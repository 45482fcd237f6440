// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Xml.Linq;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Settings;

/// <summary>Reads <c>&lt;tiering dram="2GiB"/&gt;</c>.</summary>
internal sealed class TieringSettingsParser
{
    private const int MostProblems = 10;
    private readonly List<SettingsProblem> _problems = [];
    private readonly ulong? _memoryBytes;

    private TieringSettingsParser(ulong? memoryBytes) => _memoryBytes = memoryBytes;

    /// <summary>Reads the element; the settings are to be used only when there is no problem with any of them.</summary>
    /// <param name="element">The metadata element; null is a domain that says nothing.</param>
    /// <param name="memoryBytes">The domain's memory.</param>
    internal static (TieringSettings Settings, IReadOnlyList<SettingsProblem> Problems) Parse(
        XElement? element, ulong memoryBytes)
    {
        if (element is null)
            return (TieringSettings.Default, []);
        TieringSettingsParser parser = new(memoryBytes);
        TieringSettings settings = parser.Read(element);
        if (parser._problems.Count == 0)
            parser.CheckBounds(settings);
        return (settings, parser._problems);
    }

    /// <summary>Reads attributes alone; without a domain's memory, sizes are not held against it.</summary>
    internal static (TieringSettings Settings, IReadOnlyList<SettingsProblem> Problems) Parse(
        IEnumerable<KeyValuePair<string, string>> attributes, ulong? memoryBytes)
    {
        TieringSettingsParser parser = new(memoryBytes);
        TieringSettings settings = TieringSettings.Default;
        foreach ((string name, string value) in attributes)
            settings = parser.ReadAttribute(settings, name, value);
        if (parser._problems.Count == 0)
            parser.CheckBounds(settings);
        return (settings, parser._problems);
    }

    private TieringSettings Read(XElement element)
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

    private TieringSettings ReadAttribute(TieringSettings settings, string name, string value)
    {
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
        else if (_memoryBytes is ulong memory && size.Resolve(memory) > memory)
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

    private void CheckBounds(TieringSettings settings)
    {
        // Without a domain's memory a share and a size cannot be compared.
        if (_memoryBytes is null && settings.Min.Kind != settings.Max.Kind)
            return;
        ulong memory = _memoryBytes ?? ulong.MaxValue;
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
