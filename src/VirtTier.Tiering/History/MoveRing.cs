// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.History;

/// <summary>
/// How much of a guest was promoted and demoted, and when: in columns of time as <see cref="HeatRing"/> has them, so that the two
/// can be seen beside each other. At most 5 KiB a guest, however long it runs. Not safe for use by two threads at once.
/// </summary>
/// <remarks>Time in which nobody moved pages and time in which nobody looked are the same here: who does not run moves
/// nothing.</remarks>
public sealed class MoveRing
{
    private static readonly long s_lastSecond = DateTimeOffset.MaxValue.ToUnixTimeSeconds();

    private readonly Scale[] _scales = [.. HeatRing.Widths.Select(seconds => new Scale(seconds))];

    /// <summary>Takes in moves that have been made.</summary>
    /// <param name="promoted">Pages.</param>
    /// <param name="demoted">Pages.</param>
    /// <param name="second">The time, in seconds since 1970.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is negative.</exception>
    public void Add(long promoted, long demoted, long second)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(promoted);
        ArgumentOutOfRangeException.ThrowIfNegative(demoted);
        ArgumentOutOfRangeException.ThrowIfNegative(second);
        if (promoted + demoted == 0)
            return;
        foreach (Scale scale in _scales)
            scale.Add(promoted, demoted, second);
    }

    /// <summary>All that is there, once in columns of each width, the narrowest first.</summary>
    /// <param name="second">The time now, in seconds since 1970.</param>
    public IEnumerable<MovePicture> Read(long second) => _scales.Select(scale => scale.Read(second));

    /// <summary>Writes all of it.</summary>
    public void Write(BinaryWriter writer)
    {
        ArgumentNullException.ThrowIfNull(writer);
        foreach (Scale scale in _scales)
            scale.Write(writer);
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidDataException">It is something else.</exception>
    public static MoveRing Read(BinaryReader reader)
    {
        ArgumentNullException.ThrowIfNull(reader);
        MoveRing ring = new();
        foreach (Scale scale in ring._scales)
            scale.Read(reader);
        return ring;
    }

    /// <summary>A ring of columns of one width.</summary>
    private sealed class Scale(int seconds)
    {
        private readonly uint[] _promoted = new uint[HeatRing.Columns];
        private readonly uint[] _demoted = new uint[HeatRing.Columns];
        private long _last = -1; // the newest column with moves

        public void Add(long promoted, long demoted, long second)
        {
            long column = second / seconds;
            // A clock that is set back a little must not cost what is there.
            if (column < _last && Holds(column))
                column = _last;
            if (column != _last)
                GoOn(column);
            Sum(ref _promoted[Place(column)], promoted);
            Sum(ref _demoted[Place(column)], demoted);
        }

        public MovePicture Read(long second)
        {
            long first = (second / seconds) - HeatRing.Columns + 1;
            long[] columns = [.. Enumerable.Range(0, HeatRing.Columns).Select(column => first + column)];
            return new MovePicture(first * seconds, seconds, [.. columns.Select(column => At(_promoted, column))],
                [.. columns.Select(column => At(_demoted, column))]);
        }

        public void Write(BinaryWriter writer)
        {
            writer.Write(_last);
            foreach (uint pages in _promoted.Concat(_demoted))
                writer.Write(pages);
        }

        public void Read(BinaryReader reader)
        {
            _last = reader.ReadInt64();
            HeatFileFormat.Require(_last >= -1 && _last <= s_lastSecond / seconds, "time of moves");
            foreach (ref uint pages in _promoted.AsSpan())
                pages = reader.ReadUInt32();
            foreach (ref uint pages in _demoted.AsSpan())
                pages = reader.ReadUInt32();
        }

        private void GoOn(long column)
        {
            // A clock that is set far back begins anew.
            bool isNear = column > _last && column - _last < HeatRing.Columns;
            for (long blank = isNear ? _last + 1 : column - HeatRing.Columns + 1; blank <= column; blank++)
                _promoted[Place(blank)] = _demoted[Place(blank)] = 0;
            _last = column;
        }

        private bool Holds(long column) => column >= 0 && column <= _last && _last - column < HeatRing.Columns;

        private long At(uint[] pages, long column) => Holds(column) ? pages[Place(column)] : 0;

        private static void Sum(ref uint pages, long more) => pages = (uint)Math.Min(uint.MaxValue, pages + more);

        private static int Place(long column) => (int)(((column % HeatRing.Columns) + HeatRing.Columns) % HeatRing.Columns);
    }
}

/// <summary>What was moved of a guest over a while, as <see cref="MoveRing"/> has it.</summary>
/// <param name="FirstSecond">When the first column began, in seconds since 1970.</param>
/// <param name="ColumnSeconds">Time that a column is of.</param>
/// <param name="Promoted">Pages in each column, the oldest first.</param>
/// <param name="Demoted">Pages in each column, the oldest first.</param>
public sealed record MovePicture(
    long FirstSecond, int ColumnSeconds, IReadOnlyList<long> Promoted, IReadOnlyList<long> Demoted);
