// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Settings;

/// <summary>
/// An amount of memory as people write it: an absolute size (<c>512MiB</c>, <c>1.5GiB</c>), a share of a domain's memory
/// (<c>25%</c>), <c>auto</c>, or not said at all. Units are binary only (KiB, MiB, GiB, TiB); a bare number or a decimal
/// unit is refused, so that nobody gets other than what he meant.
/// </summary>
public readonly record struct SizeSpec
{
    private readonly decimal _value;

    private SizeSpec(SizeKind kind, decimal value)
    {
        Kind = kind;
        _value = value;
    }

    /// <summary>Nothing was said: the default of whoever asks holds.</summary>
    public static SizeSpec Unset => default;

    /// <summary>The agent decides.</summary>
    public static SizeSpec Auto { get; } = new(SizeKind.Auto, 0);

    /// <summary>What was said.</summary>
    public SizeKind Kind { get; }

    /// <summary>Whether anything was said.</summary>
    public bool IsSet => Kind != SizeKind.Unset;

    /// <summary>An absolute size.</summary>
    /// <param name="bytes">The size in bytes.</param>
    public static SizeSpec FromBytes(ulong bytes) => new(SizeKind.Bytes, bytes);

    /// <summary>A share of a domain's memory.</summary>
    /// <param name="percent">From 0 to 100.</param>
    public static SizeSpec FromPercent(decimal percent)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(percent);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(percent, 100m);
        return new(SizeKind.Percent, percent);
    }

    /// <summary>The number of bytes meant for a domain; null when that is not fixed (<c>auto</c>, unset).</summary>
    /// <param name="memoryBytes">The domain's memory, which a percentage is of.</param>
    public ulong? Resolve(ulong memoryBytes) => Kind switch
    {
        SizeKind.Bytes => (ulong)_value,
        SizeKind.Percent => (ulong)(memoryBytes * _value / 100),
        _ => null,
    };

    /// <summary>Parses a size.</summary>
    /// <param name="text">The text, e.g. <c>2GiB</c>.</param>
    /// <exception cref="FormatException">It is not a size; the message says what would be one.</exception>
    public static SizeSpec Parse(string text) =>
        TryParse(text, out SizeSpec size, out string? error) ? size : throw new FormatException(error);

    /// <summary>Parses a size.</summary>
    /// <param name="text">The text, e.g. <c>2GiB</c>.</param>
    /// <param name="size">The size; unset when the text is not one.</param>
    /// <param name="error">When it is not: a sentence that says so and what would be right.</param>
    public static bool TryParse(string text, out SizeSpec size, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        size = Unset;
        string trimmed = text.Trim();
        if (trimmed == "auto")
            size = Auto;
        else if (!trimmed.EndsWith('%'))
            return TryParseBytes(trimmed, out size, out error);
        else if (TryParseNumber(trimmed[..^1], out decimal percent) && Limits.Share.Allows(percent))
            size = FromPercent(percent);
        else
            return Refuse(out error, text, $"is not a percentage from {Limits.Share}, such as 25%");

        error = null;
        return true;
    }

    /// <summary>The size as <see cref="Parse"/> reads it; empty when unset.</summary>
    public override string ToString() => Kind switch
    {
        SizeKind.Auto => "auto",
        SizeKind.Percent => _value.ToString("0.############", CultureInfo.InvariantCulture) + "%",
        SizeKind.Bytes => BinaryUnits.Format((ulong)_value),
        _ => "",
    };

    private static bool TryParseBytes(string text, out SizeSpec size, [NotNullWhen(false)] out string? error)
    {
        size = Unset;
        if (BinaryUnits.TryParse(text, Limits.Size, out ulong bytes, out string? problem))
            size = FromBytes(bytes);
        error = problem;
        return problem is null;
    }

    private static bool TryParseNumber(string text, out decimal number) =>
        decimal.TryParse(text.TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out number);

    private static bool Refuse([NotNullWhen(false)] out string? error, string text, string why)
    {
        error = $"'{Shorten.ForMessage(text)}' {why}";
        return false;
    }
}

/// <summary>What a <see cref="SizeSpec"/> says.</summary>
public enum SizeKind
{
    /// <summary>Nothing.</summary>
    Unset,

    /// <summary>That the agent decides.</summary>
    Auto,

    /// <summary>A number of bytes.</summary>
    Bytes,

    /// <summary>A share of the domain's memory.</summary>
    Percent,
}
