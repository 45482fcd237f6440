// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Settings;

/// <summary>An amount of traffic as people write it: a size a second, such as <c>200MiB/s</c>.</summary>
/// <param name="BytesPerSecond">Bytes per second, within <see cref="Limits.Rate"/>.</param>
public readonly record struct ByteRate(ulong BytesPerSecond)
{
    private const string PerSecond = "/s";

    /// <summary>Parses a rate.</summary>
    /// <param name="text">The text, e.g. <c>200MiB/s</c>.</param>
    /// <exception cref="FormatException">It is not a rate; the message says what would be one.</exception>
    public static ByteRate Parse(string text) =>
        TryParse(text, out ByteRate rate, out string? error) ? rate : throw new FormatException(error);

    /// <summary>Parses a rate.</summary>
    /// <param name="text">The text, e.g. <c>200MiB/s</c>.</param>
    /// <param name="rate">The rate.</param>
    /// <param name="error">When it is not one: a sentence that says so and what would be right.</param>
    public static bool TryParse(string text, out ByteRate rate, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        rate = default;
        string trimmed = text.Trim();
        if (!trimmed.EndsWith(PerSecond, StringComparison.Ordinal))
            error = $"'{Shorten.ForMessage(text)}' is not a rate: write a size a second, such as 200MiB/s";
        else if (BinaryUnits.TryParse(trimmed[..^PerSecond.Length].TrimEnd(), Limits.Rate, out ulong bytes, out error))
            rate = new ByteRate(bytes);

        return error is null;
    }

    /// <summary>The rate as <see cref="Parse"/> reads it.</summary>
    public override string ToString() => BinaryUnits.Format(BytesPerSecond) + PerSecond;
}
