// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace VirtTier.Primitives;

/// <summary>Numbers of bytes with a unit of IEC 80000-13: KiB, MiB, GiB, TiB.</summary>
public static class BinaryUnits
{
    private static readonly (string Name, ulong Bytes)[] s_units =
        [("TiB", 1ul << 40), ("GiB", 1ul << 30), ("MiB", 1ul << 20), ("KiB", 1ul << 10)];

    private static readonly SearchValues<char> s_numberCharacters = SearchValues.Create("0123456789.");

    /// <summary>Parses e.g. <c>1.5GiB</c>; parts of a byte are cut off.</summary>
    /// <param name="text">The text.</param>
    /// <param name="limit">What the number has to be within.</param>
    /// <param name="bytes">The number.</param>
    /// <param name="error">When it is not one: a sentence that says so and what would be right.</param>
    public static bool TryParse(string text, Limit limit, out ulong bytes, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(limit);
        bytes = 0;
        int end = text.AsSpan().IndexOfAnyExcept(s_numberCharacters);
        string number = end < 0 ? text : text[..end];
        string unit = end < 0 ? "" : text[end..].TrimStart();
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value))
            error = $"'{Shorten.ForMessage(text)}' is not a size: write a number and a unit, such as 512MiB or 2GiB";
        else if (unit.Length == 0)
            error = $"'{Shorten.ForMessage(number)}' has no unit: "
                + $"write {Shorten.ForMessage(number)}MiB or {Shorten.ForMessage(number)}GiB, for example";
        else if (!TryGetUnit(unit, out ulong unitBytes))
            error = $"'{Shorten.ForMessage(text)}' has an unknown unit '{Shorten.ForMessage(unit)}': use KiB, MiB, GiB or TiB";
        else if (value > limit.Highest / unitBytes || value < limit.Lowest / unitBytes)
            error = $"'{Shorten.ForMessage(text)}' must be from {limit}";
        else
        {
            bytes = (ulong)(value * unitBytes);
            error = null;
        }

        return error is null;
    }

    /// <summary>Writes the number with the largest unit that divides it, else exactly in KiB.</summary>
    public static string Format(ulong bytes)
    {
        foreach ((string name, ulong unit) in s_units)
        {
            if (bytes >= unit && bytes % unit == 0)
                return string.Create(CultureInfo.InvariantCulture, $"{bytes / unit}{name}");
        }

        return string.Create(CultureInfo.InvariantCulture, $"{(decimal)bytes / 1024}KiB");
    }

    private static bool TryGetUnit(string name, out ulong bytes)
    {
        bytes = Array.Find(s_units, unit => unit.Name == name).Bytes;
        return bytes != 0;
    }
}
