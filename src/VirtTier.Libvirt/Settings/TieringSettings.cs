// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
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
    public static IReadOnlyList<string> AttributeNames { get; } = ["dram", "min", "max", "shares", "mode", "rate"];

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

    /// <summary>Reads settings from attributes, of a domain or, such as the host's defaults, of none.</summary>
    /// <param name="attributes">Names and values.</param>
    /// <param name="memoryBytes">The domain's memory, which sizes are held against; null when there is no domain.</param>
    /// <returns>The settings, to be used only when there is no problem with any of them.</returns>
    public static (TieringSettings Settings, IReadOnlyList<SettingsProblem> Problems) FromAttributes(
        IEnumerable<KeyValuePair<string, string>> attributes, ulong? memoryBytes = null)
    {
        ArgumentNullException.ThrowIfNull(attributes);
        return TieringSettingsParser.Parse(attributes, memoryBytes);
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
        };
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
