// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Pictures;
using VirtTier.Primitives;

namespace VirtTier.Demo;

/// <summary>Judges whether a heat map shows that a hot set moved on: first memory that was hot then and is not now, later memory
/// that is hot now and was not then; a diagonal.</summary>
internal static class HeatMapWatch
{
    // The one kind of memory is so much hotter than the other; a harvest may find a stray page.
    private const double Clearly = 4;

    // The guest runs far longer than it fills its memory.
    private const double FillingPart = 0.125;

    /// <summary>The verdict, and what was seen in words.</summary>
    /// <param name="heat">The heat map.</param>
    /// <param name="before">Guest frames that were hot first, by the guest's word.</param>
    /// <param name="after">Those that are now.</param>
    public static (bool IsShown, string Detail) Judge(DomainHeat heat, IReadOnlySet<int> before, IReadOnlySet<int> after)
    {
        int[] old = RowsOf(heat, before, after), young = RowsOf(heat, after, before);
        if (old.Length == 0 || young.Length == 0)
            return (false, "no row is of the one hot set and not of the other");
        string course = string.Concat(heat.Cells.Chunk(heat.Addresses.Count).Where(column => column.Any(cell => cell > 0))
            .Select(column => Kind(Share(column, old), Share(column, young))));
        // While the guest moves on both are touched, and also while it fills its memory: where that takes long it may be at the
        // one now and at the other then.
        string clear = course.Replace("?", "", StringComparison.Ordinal);
        string settled = clear[(clear.LastIndexOf("><", StringComparison.Ordinal) + 1)..];
        bool isShown = settled.StartsWith('<') && settled.EndsWith('>')
            && clear.Length - settled.Length <= clear.Length * FillingPart;
        return (isShown, string.Create(CultureInfo.InvariantCulture,
            $"{old.Length} rows that were hot (<) and {young.Length} that are (>), column by column: {course}"));
    }

    // Rows with hot frames of the one set and none of the other.
    private static int[] RowsOf(DomainHeat heat, IReadOnlySet<int> frames, IReadOnlySet<int> others)
    {
        HashSet<int> excluded = [.. others.Select(RowOf)];
        return [.. frames.Select(RowOf).Distinct().Where(row => !excluded.Contains(row))];

        int RowOf(int frame) => heat.Addresses.Count - 1 - heat.Addresses.Reverse().TakeWhile(
            address => address > (ulong)frame * PageSizes.PageBytes).Count();
    }

    private static double Share(byte[] column, int[] rows) => rows.Average(row => Math.Max(0, column[row] - 1) / 254.0);

    private static char Kind(double old, double young) => old > Clearly * young ? '<' : young > Clearly * old ? '>' : '?';
}
