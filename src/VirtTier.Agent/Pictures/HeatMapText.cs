// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Pictures;

/// <summary>A domain's heat as people see it: the guest's addresses downwards, time to the right. In colour a character is two
/// cells, one above the other; else a cell is a digit.</summary>
internal static class HeatMapText
{
    private const int AddressWidth = 14; // 0x and the 46 bits that a guest can address
    private const int LeastWidth = 20;
    private const int Steps = 9;
    private const int Lines = 16;

    // Of the 256 colours that every terminal has: what is not accessed, then from dark violet to bright yellow.
    private static readonly int[] s_colours = [234, 54, 90, 126, 162, 198, 203, 209, 215, 228];
    private const int NotLookedAt = 240;
    private const char Blank = '.';

    /// <summary>Everything, within so many columns.</summary>
    public static IEnumerable<string> Render(DomainHeat heat, int width, bool colour)
    {
        byte[,] cells = Shrink(heat, colour ? 2 * Lines : Lines, Math.Max(LeastWidth, width - AddressWidth - 1), out int rowsEach,
            out int columnsEach);
        (int rows, int columns) = (cells.GetLength(0), cells.GetLength(1));
        yield return string.Create(CultureInfo.InvariantCulture,
            $"{TextTable.Name(heat.Name, int.MaxValue)}: accesses from {heat.First.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC, for "
                + $"{TextTable.Time((double)heat.Columns * heat.ColumnSeconds)}");
        for (int row = 0; row < rows; row += colour ? 2 : 1)
        {
            string address = $"0x{heat.Addresses[row * rowsEach]:x}".PadLeft(AddressWidth);
            yield return $"{address} " + (colour ? InColour(cells, row) : InDigits(cells, row));
        }
        foreach (string line in Legend(heat, rowsEach, columnsEach, columns, colour))
            yield return line;
    }

    private static IEnumerable<string> Legend(DomainHeat heat, int rowsEach, int columnsEach, int columns, bool colour)
    {
        string first = heat.First.UtcDateTime.ToString("HH:mm:ss", CultureInfo.InvariantCulture);
        string end = heat.First.AddSeconds((double)heat.Columns * heat.ColumnSeconds).UtcDateTime
            .ToString("HH:mm:ss", CultureInfo.InvariantCulture);
        yield return new string(' ', AddressWidth + 1) + first + end.PadLeft(Math.Max(end.Length + 1, columns - first.Length));
        yield return "down: the guest's address; to the right: time. A cell is "
            + $"{Sizes.Show(heat.RowBytes * rowsEach)} in {TextTable.Time((double)columnsEach * heat.ColumnSeconds)}.";
        if (colour)
        {
            string swatches = string.Concat(Enumerable.Range(1, Steps).Select(Swatch));
            yield return $"{Swatch(0)} nothing of it accessed, {swatches} up to all of it in each harvest, "
                + $"{Escape(48, NotLookedAt)} {Reset} not looked at";
        }
        else
        {
            yield return "0: nothing of it accessed, 1 to 9: up to 1/9, 2/9 ... all of it in each harvest, "
                + $"{Blank}: not looked at";
        }
    }

    private static string InDigits(byte[,] cells, int row)
    {
        StringBuilder line = new();
        for (int column = 0; column < cells.GetLength(1); column++)
            line.Append(cells[row, column] is > 0 and byte cell ? (char)('0' + Step(cell)) : Blank);
        return line.ToString();
    }

    // The upper half of a character has its colour, the lower that of its background.
    private static string InColour(byte[,] cells, int row)
    {
        StringBuilder line = new();
        (int Upper, int Lower) before = (-1, -1);
        for (int column = 0; column < cells.GetLength(1); column++)
        {
            (int Upper, int Lower) now =
                (Colour(cells[row, column]), row + 1 < cells.GetLength(0) ? Colour(cells[row + 1, column]) : -1);
            if (now != before)
                line.Append(Escape(38, now.Upper)).Append(now.Lower < 0 ? "\e[49m" : Escape(48, now.Lower));
            line.Append('▀');
            before = now;
        }
        return line.Append(Reset).ToString();
    }

    private const string Reset = "\e[0m";

    private static string Swatch(int step) => $"{Escape(48, s_colours[step])} {Reset}";

    private static string Escape(int ground, int colour) =>
        string.Create(CultureInfo.InvariantCulture, $"\e[{ground};5;{colour}m");

    private static int Colour(byte cell) => cell == 0 ? NotLookedAt : s_colours[Step(cell)];

    // 0 for nothing, so that 1 is anything at all.
    private static int Step(byte cell) => ((cell - 1) * Steps + 253) / 254;

    /// <summary>Averages cells, of those that were looked at, so that so many rows and columns are left.</summary>
    private static byte[,] Shrink(DomainHeat heat, int mostRows, int mostColumns, out int rowsEach, out int columnsEach)
    {
        int rows = heat.Addresses.Count;
        rowsEach = ((rows - 1) / mostRows) + 1;
        columnsEach = ((heat.Columns - 1) / mostColumns) + 1;
        byte[,] shrunk = new byte[((rows - 1) / rowsEach) + 1, ((heat.Columns - 1) / columnsEach) + 1];
        for (int row = 0; row < shrunk.GetLength(0); row++)
        {
            for (int column = 0; column < shrunk.GetLength(1); column++)
            {
                int sum = 0, looked = 0;
                for (int x = column * columnsEach; x < Math.Min((column + 1) * columnsEach, heat.Columns); x++)
                {
                    for (int y = row * rowsEach; y < Math.Min((row + 1) * rowsEach, rows); y++)
                    {
                        byte cell = heat.Cells[(x * rows) + y];
                        sum += cell;
                        looked += cell > 0 ? 1 : 0;
                    }
                }
                shrunk[row, column] = looked == 0 ? (byte)0 : (byte)((sum + looked - 1) / looked);
            }
        }
        return shrunk;
    }
}
