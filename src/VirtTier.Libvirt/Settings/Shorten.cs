// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;

namespace VirtTier.Libvirt.Settings;

/// <summary>Fits foreign text into messages: metadata may be 100 kB of anything, also of what a terminal would obey.</summary>
public static class Shorten
{
    private const int Longest = 60;

    /// <summary>The text in one line: at most 60 of its characters, those that cannot be seen as <c>\u001b</c>.</summary>
    public static string ForMessage(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        StringBuilder shown = new();
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, Longest)))
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || char.GetUnicodeCategory(c) is UnicodeCategory.Format or UnicodeCategory.LineSeparator)
                shown.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                shown.Append(c);
        }
        return text.Length <= Longest ? shown.ToString() : shown.Append("...").ToString();
    }
}
