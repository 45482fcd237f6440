// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Settings;

/// <summary>How many of a domain's 2 MiB blocks may be split at the same time, as people write it: a share of them, such as
/// <c>5%</c>, or <c>off</c>.</summary>
/// <param name="Share">The share, 0..1; 0 is <c>off</c>, all else within <see cref="Limits.SplitShare"/>.</param>
public readonly record struct BlockShare(double Share)
{
    private const string None = "off";

    /// <summary>Parses a share.</summary>
    /// <param name="text">The text, e.g. <c>5%</c>.</param>
    /// <param name="share">The share.</param>
    /// <param name="error">When it is not one: a sentence that says so and what would be right.</param>
    public static bool TryParse(string text, out BlockShare share, [NotNullWhen(false)] out string? error)
    {
        ArgumentNullException.ThrowIfNull(text);
        string trimmed = text.Trim();
        share = default;
        error = null;
        if (trimmed == None)
            return true;
        if (trimmed.EndsWith('%')
            && decimal.TryParse(trimmed[..^1], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal percent)
            && Limits.SplitShare.Allows(percent))
        {
            share = new BlockShare((double)percent / 100);
            return true;
        }

        error = $"'{Shorten.ForMessage(text)}' must be 'off', or a share of a domain's huge pages from {Limits.SplitShare}, "
            + "such as 5%";
        return false;
    }

    /// <summary>The share as <see cref="TryParse"/> reads it.</summary>
    public override string ToString() =>
        Share == 0 ? None : (Share * 100).ToString("0.############", CultureInfo.InvariantCulture) + "%";
}
