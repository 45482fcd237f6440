// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;

namespace VirtTier.Primitives;

/// <summary>Fits foreign text into messages: metadata may be 100 kB of anything, also of what a terminal would obey.</summary>
public static class Shorten
{
    private const int LongestWord = 60, LongestSentence = 160, LongestLine = 1000, LongestTrace = 8000;

    /// <summary>A word of somebody's in one line: some 60 characters, those that cannot be seen as <c>\u001b</c>.</summary>
    public static string ForMessage(ReadOnlySpan<char> text) => Show(text, LongestWord);

    /// <summary>Somebody's whole message in one line, such as a D-Bus error or one of a parser that
    /// quotes what it read.</summary>
    public static string Sentence(ReadOnlySpan<char> text) => Show(text, LongestSentence);

    /// <summary>A whole line of a log: what the program says, with words and sentences of others in it.</summary>
    public static string Line(ReadOnlySpan<char> text) => Show(text, LongestLine);

    /// <summary>An exception with its stack, in one line.</summary>
    public static string Trace(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return Show(string.Join(' ', text.Split('\n', StringSplitOptions.TrimEntries)), LongestTrace);
    }

    private static string Show(ReadOnlySpan<char> text, int longest)
    {
        StringBuilder shown = new();
        foreach (char c in text)
        {
            if (shown.Length >= longest)
                return shown.Append("...").ToString();
            if (char.IsControl(c) || char.IsSurrogate(c)
                || char.GetUnicodeCategory(c) is UnicodeCategory.Format or UnicodeCategory.LineSeparator
                    or UnicodeCategory.ParagraphSeparator)
                shown.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else
                shown.Append(c);
        }
        return shown.ToString();
    }
}
