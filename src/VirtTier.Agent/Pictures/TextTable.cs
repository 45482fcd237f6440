// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Primitives;

namespace VirtTier.Agent.Pictures;

/// <summary>Text in columns, the same on a terminal and in a pipe.</summary>
internal static class TextTable
{
    private const string Gap = "  ";

    /// <summary>Lines of columns, each as wide as its widest cell: the first to the left, the others to the right.</summary>
    public static IEnumerable<string> Align(IReadOnlyList<string[]> rows)
    {
        int[] widths = [.. Enumerable.Range(0, rows.Max(row => row.Length)).Select(
            column => rows.Max(row => column < row.Length ? row[column].Length : 0))];
        return rows.Select(row => string.Join(
            Gap, row.Select((cell, column) => column == 0 ? cell.PadRight(widths[0]) : cell.PadLeft(widths[column]))).TrimEnd());
    }

    /// <summary>A name in at most so many characters, without any that cannot be seen.</summary>
    public static string Name(string name, int width)
    {
        string plain = Shorten.ForMessage(name);
        return plain.Length <= width ? plain : plain[..(width - 1)] + "…";
    }

    /// <summary>A share with one decimal place, such as <c>1.5 %</c>.</summary>
    public static string Percent(double share) => string.Create(CultureInfo.InvariantCulture, $"{share * 100:0.0} %");

    /// <summary>A time in its largest fitting unit, such as <c>12 min</c>, <c>3.5 h</c> or <c>2.1 days</c>.</summary>
    public static string Time(double seconds) => seconds switch
    {
        < 60 => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(seconds):0} s"),
        < 3600 => string.Create(CultureInfo.InvariantCulture, $"{Math.Floor(seconds / 60):0} min"),
        < 48 * 3600 => string.Create(CultureInfo.InvariantCulture, $"{seconds / 3600:0.#} h"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{seconds / 86_400:0.#} days"),
    };
}
