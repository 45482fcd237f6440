// SPDX-License-Identifier: Apache-2.0
using System.Numerics;
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.History;

/// <summary>
/// What a guest accessed where and when, as a picture: rows of guest memory, columns of time. The last minutes are kept in narrow
/// columns, the last hours in wider ones, the last day in the widest, each in a ring of its own. Less than 128 KiB a guest,
/// however large it is and however long it runs. Not safe for use by two threads at once.
/// </summary>
/// <remarks>
/// A cell is 0 where nobody looked. Else it is 1 and up to 254 more: the share of the row's pages that a harvest found accessed,
/// on average over the column's harvests, rounded up, so that one page shows.
/// </remarks>
public sealed class HeatRing
{
    /// <summary>Most rows.</summary>
    public const int MostRows = 256;

    /// <summary>Columns of each of the three widths.</summary>
    public const int Columns = 160;

    private const int WordPages = 64;

    /// <summary>Widths of columns, in seconds.</summary>
    internal static readonly IReadOnlyList<int> Widths = [5, 60, 600];

    private static readonly long s_lastSecond = DateTimeOffset.MaxValue.ToUnixTimeSeconds();

    private readonly Scale[] _scales;
    private readonly byte[] _row;

    /// <summary>An empty picture.</summary>
    /// <param name="pages">4 KiB pages of the guest, a multiple of 512, at least 512.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="pages"/> is not such a number.</exception>
    public HeatRing(int pages)
    {
        if (pages < PageSizes.BlockPages || pages % PageSizes.BlockPages != 0)
            throw new ArgumentOutOfRangeException(
                nameof(pages), pages, $"A guest has a positive multiple of {PageSizes.BlockPages} pages.");
        Pages = pages;
        int blocks = pages / PageSizes.BlockPages;
        int rowBlocks = ((blocks - 1) / MostRows) + 1;
        RowPages = rowBlocks * PageSizes.BlockPages;
        Rows = ((blocks - 1) / rowBlocks) + 1;
        _row = new byte[Rows];
        _scales = [.. Widths.Select(seconds => new Scale(seconds, Rows))];
    }

    /// <summary>4 KiB pages of the guest.</summary>
    public int Pages { get; }

    /// <summary>Pages of a row, whole blocks; the last row may have fewer.</summary>
    public int RowPages { get; }

    /// <summary>Rows, in order of page index.</summary>
    public int Rows { get; }

    /// <summary>The longest time that a picture shows.</summary>
    public static TimeSpan Longest => TimeSpan.FromSeconds(Widths[^1] * Columns);

    /// <summary>Takes one harvest.</summary>
    /// <param name="accessed">One bit a page: accessed since the last harvest.</param>
    /// <param name="sizes">One <see cref="MappingSize"/> for each 512 pages. Of a block mapped as a whole one bit stands
    /// for all.</param>
    /// <param name="second">The time, in seconds since 1970.</param>
    /// <exception cref="ArgumentException">A span has the wrong length.</exception>
    public void Observe(ReadOnlySpan<ulong> accessed, ReadOnlySpan<MappingSize> sizes, long second)
    {
        if (accessed.Length != Pages / WordPages || sizes.Length != Pages / PageSizes.BlockPages)
            throw new ArgumentException($"This picture is of {Pages} pages.", nameof(accessed));
        int rowBlocks = RowPages / PageSizes.BlockPages;
        for (int row = 0; row < _row.Length; row++)
        {
            int end = Math.Min(sizes.Length, (row + 1) * rowBlocks);
            int first = row * rowBlocks;
            long hits = 0;
            for (int block = first; block < end; block++)
                hits += HitsOf(accessed.Slice(block * (PageSizes.BlockPages / WordPages), PageSizes.BlockPages / WordPages),
                    sizes[block]);
            long pages = (long)(end - first) * PageSizes.BlockPages;
            _row[row] = (byte)(1 + (((hits * 254) + pages - 1) / pages));
        }
        foreach (Scale scale in _scales)
            scale.Add(_row, second);
    }

    /// <summary>The picture of the last while, in the narrowest columns that reach so far back.</summary>
    /// <param name="last">How far back; more than <see cref="Longest"/> is as much as that.</param>
    /// <param name="second">The time now, in seconds since 1970.</param>
    public HeatPicture Read(TimeSpan last, long second)
    {
        Scale scale = Array.Find(_scales, s => s.Seconds * Columns >= last.TotalSeconds) ?? _scales[^1];
        int columns = (int)Math.Clamp(Math.Ceiling(last.TotalSeconds / scale.Seconds), 1, Columns);
        long end = second / scale.Seconds;
        byte[] cells = new byte[columns * Rows];
        for (int column = 0; column < columns; column++)
            scale.Read(end - columns + 1 + column, cells.AsSpan(column * Rows, Rows));
        return new HeatPicture(cells, Rows, RowPages, scale.Seconds, (end - columns + 1) * scale.Seconds);
    }

    /// <summary>Takes over what a picture showed before the guest's memory grew or shrank at its end. Where it changed elsewhere
    /// the older columns are off by as much.</summary>
    public void TakeOver(HeatRing earlier)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        for (int i = 0; i < _scales.Length; i++)
        {
            _scales[i].TakeOver(earlier._scales[i],
                row => (int)((long)row * RowPages / earlier.RowPages) is var there && there < earlier.Rows ? there : -1);
        }
    }

    /// <summary>Writes all that it shows.</summary>
    public void Write(BinaryWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.Write(Pages);
        foreach (Scale scale in _scales)
            scale.Write(writer);
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is no picture.</exception>
    public static HeatRing Read(BinaryReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        int pages = reader.ReadInt32();
        HeatFileFormat.Require(pages >= PageSizes.BlockPages && pages % PageSizes.BlockPages == 0, "number of pages");
        HeatRing ring = new(pages);
        foreach (Scale scale in ring._scales)
            scale.Read(reader);
        return ring;
    }

    private static int HitsOf(ReadOnlySpan<ulong> words, MappingSize size)
    {
        if (!words.ContainsAnyExcept(0UL))
            return 0;
        if (size == MappingSize.Size2M)
            return PageSizes.BlockPages;
        int hits = 0;
        foreach (ulong word in words)
            hits += BitOperations.PopCount(word);
        return hits;
    }

    /// <summary>A ring of columns of one width.</summary>
    private sealed class Scale(int seconds, int rows)
    {
        private readonly byte[] _cells = new byte[Columns * rows];
        private readonly int[] _sums = new int[rows];
        private int _harvests;
        private long _now = -1; // the column that is being filled

        public int Seconds => seconds;

        public void Add(ReadOnlySpan<byte> row, long second)
        {
            long column = second / seconds;
            // A clock that is set back a little must not cost the picture; what was seen belongs to the newest column.
            if (column < _now && _now - column < Columns)
                column = _now;
            if (column != _now)
                GoOn(column);
            for (int i = 0; i < row.Length; i++)
                _sums[i] += row[i];
            _harvests++;
        }

        public void Read(long column, Span<byte> cells)
        {
            if (column < 0 || column > _now || _now - column >= Columns)
                return;
            _cells.AsSpan(Place(column), rows).CopyTo(cells);
            if (column == _now)
                Average(cells);
        }

        public void TakeOver(Scale earlier, Func<int, int> rowThere)
        {
            _now = earlier._now;
            earlier.Average(earlier._cells.AsSpan(earlier.Place(earlier._now), earlier.Rows));
            for (int column = 0; column < Columns; column++)
            {
                for (int row = 0; row < rows; row++)
                {
                    int there = rowThere(row);
                    _cells[(column * rows) + row] = there < 0 ? (byte)0 : earlier._cells[(column * earlier.Rows) + there];
                }
            }
        }

        public void Write(BinaryWriter writer)
        {
            Average(_cells.AsSpan(Place(_now), rows));
            writer.Write(_now);
            writer.Write(_cells);
        }

        public void Read(BinaryReader reader)
        {
            _now = reader.ReadInt64();
            HeatFileFormat.Require(_now >= -1 && _now <= s_lastSecond / seconds, "time of a picture");
            reader.BaseStream.ReadExactly(_cells);
        }

        private int Rows => rows;

        private void GoOn(long column)
        {
            if (_now >= 0)
                Average(_cells.AsSpan(Place(_now), rows));
            long passed = column - _now;
            if (_now < 0 || passed < 0 || passed >= Columns)
                Array.Clear(_cells);
            else
            {
                for (long blank = _now + 1; blank <= column; blank++)
                    _cells.AsSpan(Place(blank), rows).Clear();
            }
            _now = column;
            Array.Clear(_sums);
            _harvests = 0;
        }

        // A column that was read from a file and not looked at since stays as it is.
        private void Average(Span<byte> cells)
        {
            for (int row = 0; row < rows && _harvests > 0; row++)
                cells[row] = (byte)((_sums[row] + _harvests - 1) / _harvests);
        }

        private int Place(long column) => (int)(Math.Max(0, column) % Columns) * rows;
    }
}

/// <summary>A guest's accesses over a while, as <see cref="HeatRing"/> has them.</summary>
/// <param name="Cells">Column after column, the oldest first; within each, row after row.</param>
/// <param name="Rows">Rows.</param>
/// <param name="RowPages">Pages of a row.</param>
/// <param name="ColumnSeconds">Time that a column is of.</param>
/// <param name="FirstSecond">When the first column began, in seconds since 1970.</param>
public sealed record HeatPicture(ReadOnlyMemory<byte> Cells, int Rows, int RowPages, int ColumnSeconds, long FirstSecond);
