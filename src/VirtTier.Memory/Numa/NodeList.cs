// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;
using VirtTier.Primitives;

namespace VirtTier.Memory.Numa;

/// <summary>The kernel's list format of node and processor numbers: <c>0-2,5</c>.</summary>
public static class NodeList
{
    /// <summary>The highest number that is believed: eight times the processors that a kernel can be built for.</summary>
    public const int Highest = 65535;

    /// <summary>Reads a list; white space around it and an empty list are allowed.</summary>
    /// <exception cref="FormatException">The text is no such list, or has a number above <see cref="Highest"/>.</exception>
    public static IReadOnlyList<int> Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var numbers = new List<int>();
        foreach (string part in text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] ends = part.Split('-');
            if (ends.Length > 2 || !TryParse(ends[0], out int first) || !TryParse(ends[^1], out int last) || last < first)
                throw new FormatException($"'{Shorten.ForMessage(part)}' is neither a number nor a range of numbers such as 0-3");
            if (last > Highest)
                throw new FormatException($"'{Shorten.ForMessage(part)}' goes beyond {Highest}, which no host has");
            if (numbers.Count + (last - first) > Highest)
                throw new FormatException($"more than {Highest + 1} numbers in one list, which no host has");
            numbers.AddRange(Enumerable.Range(first, last - first + 1));
        }

        return numbers;
    }

    /// <summary>Writes a list, ranges where there are some.</summary>
    public static string Format(IEnumerable<int> numbers)
    {
        var text = new StringBuilder();
        int[] sorted = [.. numbers.Distinct().Order()];
        for (int i = 0; i < sorted.Length;)
        {
            int end = i;
            while (end + 1 < sorted.Length && sorted[end + 1] == sorted[end] + 1)
                end++;
            text.Append(text.Length == 0 ? "" : ",").Append(sorted[i]);
            if (end > i)
                text.Append('-').Append(sorted[end]);
            i = end + 1;
        }

        return text.ToString();
    }

    private static bool TryParse(string text, out int number) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
}
