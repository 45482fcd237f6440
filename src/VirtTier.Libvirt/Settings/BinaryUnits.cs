// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace VirtTier.Libvirt.Settings;

/// <summary>Numbers of bytes with a unit of IEC 80000-13: KiB, MiB, GiB, TiB.</summary>
internal static class BinaryUnits
{
    private static readonly (string Name, ulong Bytes)[] Units =
        [("TiB", 1ul << 40), ("GiB", 1ul << 30), ("MiB", 1ul << 20), ("KiB", 1ul << 10)];

    // What an x86-64 processor can address at most: 52 bits (AMD64 Architecture Programmer's Manual, volume 2, 5.1). All that is
    // counted from a size then fits into 64 bits with their sign.
    private const ulong Most = 1ul << 52;

    private static readonly SearchValues<char> NumberCharacters = SearchValues.Create("0123456789.");

    /// <summary>Parses e.g. <c>1.5GiB</c>; parts of a byte are cut off.</summary>
    internal static bool TryParse(string text, out ulong bytes, [NotNullWhen(false)] out string? error)
    {
        bytes = 0;
        int end = text.AsSpan().IndexOfAnyExcept(NumberCharacters);
        string number = end < 0 ? text : text[..end];
        string unit = end < 0 ? "" : text[end..].TrimStart();
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value))
            error = $"'{Shorten.ForMessage(text)}' is not a size: write a number and a unit, such as 512MiB or 2GiB";
        else if (unit.Length == 0)
            error = $"'{Shorten.ForMessage(number)}' has no unit: "
                + $"write {Shorten.ForMessage(number)}MiB or {Shorten.ForMessage(number)}GiB, for example";
        else if (!TryGetUnit(unit, out ulong unitBytes))
            error = $"'{Shorten.ForMessage(text)}' has an unknown unit '{Shorten.ForMessage(unit)}': use KiB, MiB, GiB or TiB";
        else if (value > (decimal)Most / unitBytes)
            error = $"'{Shorten.ForMessage(text)}' is more than a processor can address: at most {Format(Most)}";
        else
        {
            bytes = (ulong)(value * unitBytes);
            error = null;
        }

        return error is null;
    }

    /// <summary>The number with the largest unit that divides it, else exactly in KiB.</summary>
    internal static string Format(ulong bytes)
    {
        foreach ((string name, ulong unit) in Units)
        {
            if (bytes >= unit && bytes % unit == 0)
                return string.Create(CultureInfo.InvariantCulture, $"{bytes / unit}{name}");
        }

        return string.Create(CultureInfo.InvariantCulture, $"{(decimal)bytes / 1024}KiB");
    }

    private static bool TryGetUnit(string name, out ulong bytes)
    {
        bytes = Array.Find(Units, unit => unit.Name == name).Bytes;
        return bytes != 0;
    }
}
