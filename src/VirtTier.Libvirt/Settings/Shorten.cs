// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;

namespace VirtTier.Libvirt.Settings;

/// <summary>Fits foreign text into messages: metadata may be 100 kB of anything, also of what a terminal would obey.</summary>
public static class Shorten
{
    /// <summary>Enough of a value to know it again.</summary>
    private const int LongestValue = 60;

    /// <summary>Enough for what went wrong in somebody else's words.</summary>
    private const int LongestSentence = 200;

    /// <summary>The text in one line: at most 60 of its characters, those that cannot be seen as <c>\u001b</c>.</summary>
    public static string ForMessage(string text) => Cut(text, LongestValue);

    /// <summary>The same for a sentence of another program, of which 200 characters are enough.</summary>
    public static string Sentence(string text) => Cut(text, LongestSentence);

    private static string Cut(string text, int longest)
    {
        ArgumentNullException.ThrowIfNull(text);
        StringBuilder shown = new();
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, longest)))
        {
            if (char.IsControl(c) || char.IsSurrogate(c) || char.GetUnicodeCategory(c) is UnicodeCategory.Format or UnicodeCategory.LineSeparator)
                shown.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                shown.Append(c);
        }
        return text.Length <= longest ? shown.ToString() : shown.Append("...").ToString();
    }
}
