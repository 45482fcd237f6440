// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.History;

namespace VirtTier.Tiering.Tests;

public sealed class MoveRingTests
{
    // A multiple of every width.
    private const long Start = 1_800_000_000 / 600 * 600;

    private readonly MoveRing _ring = new();

    [Fact]
    public void Moves_are_summed_in_columns_of_seconds_minutes_and_hours_that_end_now()
    {
        _ring.Add(1, 2, Start);
        _ring.Add(10, 20, Start + 4);
        _ring.Add(100, 0, Start + 5);
        MovePicture[] pictures = [.. _ring.Read(Start + 9)];

        Assert.Equal([5, 60, 600], pictures.Select(p => p.ColumnSeconds));
        Assert.All(pictures, p => Assert.Equal((HeatRing.Columns, HeatRing.Columns), (p.Promoted.Count, p.Demoted.Count)));
        Assert.Equal([Start - (158 * 5), Start - (159 * 60), Start - (159 * 600)], pictures.Select(p => p.FirstSecond));
        Assert.Equal([0, 11, 100], pictures[0].Promoted.TakeLast(3));
        Assert.Equal([0, 22, 0], pictures[0].Demoted.TakeLast(3));
        Assert.Equal((111, 22), (pictures[1].Promoted[^1], pictures[1].Demoted[^1]));
        Assert.Equal((111, 22), (pictures[2].Promoted[^1], pictures[2].Demoted[^1]));
        Assert.All(pictures, p => Assert.Equal((111, 22), (p.Promoted.Sum(), p.Demoted.Sum())));
    }

    [Fact]
    public void Its_columns_are_those_of_the_heat()
    {
        HeatRing heat = new(512);
        _ring.Add(1, 1, Start + 7);
        foreach (MovePicture moves in _ring.Read(Start + 7))
        {
            HeatPicture picture = heat.Read(TimeSpan.FromSeconds(moves.ColumnSeconds * HeatRing.Columns), Start + 7);
            Assert.Equal((picture.FirstSecond, picture.ColumnSeconds), (moves.FirstSecond, moves.ColumnSeconds));
        }
    }

    [Fact]
    public void Time_without_moves_is_empty_and_what_is_too_old_is_gone_from_the_narrow_columns_alone()
    {
        _ring.Add(7, 0, Start);
        MovePicture later = _ring.Read(Start + 20).First();
        Assert.Equal([7, 0, 0, 0, 0], later.Promoted.TakeLast(5));

        // A turn of the ring later the same places are of other columns.
        long turn = Start + (5 * HeatRing.Columns);
        Assert.Equal(0, _ring.Read(turn).First().Promoted.Sum());
        _ring.Add(0, 3, turn + 10);
        MovePicture[] pictures = [.. _ring.Read(turn + 10)];
        Assert.Equal((0, 3), (pictures[0].Promoted.Sum(), pictures[0].Demoted.Sum()));
        Assert.Equal((7, 3), (pictures[1].Promoted.Sum(), pictures[1].Demoted.Sum()));

        _ring.Add(1, 0, turn + 1_000_000);
        pictures = [.. _ring.Read(turn + 1_000_000)];
        Assert.All(pictures, p => Assert.Equal((1, 0), (p.Promoted.Sum(), p.Demoted.Sum())));
    }

    [Fact]
    public void A_clock_that_is_set_back_costs_nothing_and_one_far_back_begins_anew()
    {
        _ring.Add(1, 0, Start);
        _ring.Add(2, 0, Start - 7);
        Assert.Equal(3, _ring.Read(Start).First().Promoted[^1]);
        _ring.Add(5, 0, Start - 1_000_000);
        Assert.All(_ring.Read(Start - 1_000_000), p => Assert.Equal((5, 5), (p.Promoted.Sum(), p.Promoted[^1])));
        _ring.Add(6, 0, 1);
        Assert.All(_ring.Read(1), p => Assert.Equal((6, 6), (p.Promoted.Sum(), p.Promoted[^1])));
    }

    [Fact]
    public void More_than_a_column_can_count_is_as_much_as_it_can()
    {
        _ring.Add(long.MaxValue / 2, 1, Start);
        _ring.Add(long.MaxValue / 2, 1, Start);
        Assert.All(_ring.Read(Start), p => Assert.Equal((uint.MaxValue, 2), (p.Promoted[^1], p.Demoted[^1])));
    }

    [Fact]
    public void It_takes_at_most_5_KiB()
    {
        _ = new MoveRing();
        long before = GC.GetAllocatedBytesForCurrentThread();
        MoveRing ring = new();
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 3 * 2 * 160 * 4, 5 << 10);
        before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100_000; i++)
            ring.Add(1, 1, Start + i);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void It_outlives_the_agent_whose_time_away_is_time_without_moves()
    {
        GuestHistory before = new(new HeatRing(512), new LongCurve());
        before.Moves.Add(3, 4, Start);
        GuestHistory after = new(new HeatRing(512), new LongCurve());
        Assert.Null(after.Restore(before.Save(7), 7));
        after.Moves.Add(5, 0, Start + 10);
        MovePicture moves = after.Moves.Read(Start + 10).First();
        Assert.Equal([3, 0, 5], moves.Promoted.TakeLast(3));
        Assert.Equal([4, 0, 0], moves.Demoted.TakeLast(3));
    }
}
