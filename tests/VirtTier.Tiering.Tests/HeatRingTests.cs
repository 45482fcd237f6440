// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.History;

namespace VirtTier.Tiering.Tests;

public sealed class HeatRingTests
{
    private const int Blocks = 8;
    private const int Pages = Blocks * PageSizes.BlockPages;

    // A multiple of every width.
    private const long Start = 1_800_000_000 / 600 * 600;

    private readonly HeatRing _ring = new(Pages);

    [Fact]
    public void A_hot_set_that_moves_is_a_diagonal()
    {
        for (int block = 0; block < Blocks; block++)
        {
            for (int second = 0; second < 5; second++)
                Observe(_ring, Start + (block * 5) + second, block);
        }
        HeatPicture picture = _ring.Read(TimeSpan.FromSeconds(40), Start + 39);

        Assert.Equal((Blocks, 512, 5, Start), (picture.Rows, picture.RowPages, picture.ColumnSeconds, picture.FirstSecond));
        for (int column = 0; column < Blocks; column++)
        {
            for (int row = 0; row < Blocks; row++)
                Assert.Equal(row == column ? 255 : 1, Cell(picture, row, column));
        }
    }

    [Fact]
    public void A_cell_is_the_share_of_its_pages_on_average_over_the_harvests_and_one_page_shows()
    {
        ulong[] accessed = new ulong[Pages / 64];
        accessed.AsSpan(0, 4).Fill(ulong.MaxValue);    // half of block 0
        accessed[8] = 1;                               // one page of block 1
        accessed[16] = 1;                              // one page of block 2, mapped as a whole
        MappingSize[] sizes = [.. Enumerable.Repeat(MappingSize.Size4K, Blocks)];
        sizes[2] = MappingSize.Size2M;
        _ring.Observe(accessed, sizes, Start);
        _ring.Observe(new ulong[Pages / 64], sizes, Start + 1);

        HeatPicture picture = _ring.Read(TimeSpan.FromSeconds(5), Start + 1);
        Assert.Equal([1 + 64, 2, 1 + 127, 1, 1, 1, 1, 1], picture.Cells.ToArray());
    }

    [Fact]
    public void Where_nobody_looked_is_empty_and_what_is_too_old_is_gone()
    {
        Observe(_ring, Start, 0);
        Observe(_ring, Start + 10, 0);
        HeatPicture picture = _ring.Read(TimeSpan.FromSeconds(20), Start + 19);
        Assert.Equal([255, 0, 255, 0], Enumerable.Range(0, 4).Select(column => (int)Cell(picture, 0, column)));

        Observe(_ring, Start + (5 * HeatRing.Columns), 1);
        picture = _ring.Read(TimeSpan.FromSeconds(5 * HeatRing.Columns), Start + (5 * HeatRing.Columns));
        Assert.Equal((0, 255, 0), (Cell(picture, 0, 0), Cell(picture, 0, 1), Cell(picture, 0, 2)));
        Assert.Equal((1, 255), (Cell(picture, 0, 159), Cell(picture, 1, 159)));
    }

    [Fact]
    public void A_gap_does_not_show_what_was_a_turn_of_the_ring_before()
    {
        for (int column = 0; column < HeatRing.Columns; column++)
            Observe(_ring, Start + (column * 5), 0);
        long after = Start + ((HeatRing.Columns + 3) * 5);
        Observe(_ring, after, 0);
        HeatPicture picture = _ring.Read(TimeSpan.FromSeconds(25), after);
        Assert.Equal([255, 0, 0, 0, 255], Enumerable.Range(0, 5).Select(column => (int)Cell(picture, 0, column)));
    }

    [Theory]
    [InlineData(1, 5, 1)]
    [InlineData(600, 5, 120)]
    [InlineData(801, 60, 14)]
    [InlineData(9600, 60, 160)]
    [InlineData(9601, 600, 17)]
    [InlineData(1e9, 600, 160)]
    public void The_narrowest_columns_that_reach_back_are_shown(double last, int width, int columns)
    {
        HeatPicture picture = _ring.Read(TimeSpan.FromSeconds(last), Start);
        Assert.Equal((width, columns), (picture.ColumnSeconds, picture.Cells.Length / picture.Rows));
    }

    [Fact]
    public void An_hour_and_a_day_are_there_in_wider_columns()
    {
        for (int minute = 0; minute < 60 * 24; minute++)
            Observe(_ring, Start + (minute * 60), minute < 720 ? 0 : 1);
        HeatPicture hour = _ring.Read(TimeSpan.FromHours(2), Start + 86_399);
        Assert.Equal((60, 1, 255), (hour.ColumnSeconds, Cell(hour, 0, 119), Cell(hour, 1, 119)));
        HeatPicture day = _ring.Read(TimeSpan.FromHours(24), Start + 86_399);
        Assert.Equal((255, 1), (Cell(day, 0, 0), Cell(day, 1, 0)));
        Assert.Equal((1, 255), (Cell(day, 0, 143), Cell(day, 1, 143)));
    }

    [Fact]
    public void A_clock_that_is_set_back_costs_nothing_and_one_far_back_begins_anew()
    {
        Observe(_ring, Start, 0);
        Observe(_ring, Start - 7, 0);
        Assert.Equal(255, Cell(_ring.Read(TimeSpan.FromSeconds(5), Start), 0, 0));
        Observe(_ring, Start - 1_000_000, 1);
        HeatPicture picture = _ring.Read(TimeSpan.FromSeconds(5), Start - 1_000_000);
        Assert.Equal((1, 255), (Cell(picture, 0, 0), Cell(picture, 1, 0)));
    }

    [Theory]
    [InlineData(512, 1, 512)]
    [InlineData(256 * 512, 256, 512)]
    [InlineData(257 * 512, 129, 1024)]
    [InlineData(int.MaxValue / 512 * 512, 256, 16384 * 512)]
    public void However_large_the_guest_there_are_at_most_256_rows_of_whole_blocks(int pages, int rows, int rowPages)
    {
        HeatRing ring = new(pages);
        Assert.Equal((rows, rowPages), (ring.Rows, ring.RowPages));
        Assert.InRange((long)ring.Rows * ring.RowPages, pages, pages + (long)ring.RowPages - 1);
    }

    [Fact]
    public void A_picture_takes_at_most_128_KiB()
    {
        _ = new HeatRing(512);
        long before = GC.GetAllocatedBytesForCurrentThread();
        HeatRing ring = new(int.MaxValue / 512 * 512);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 100 << 10, 128 << 10);
        GC.KeepAlive(ring);
    }

    [Fact]
    public void It_outlives_the_agent_with_a_gap_for_the_time_between()
    {
        GuestHistory before = new(_ring, new LongCurve());
        Observe(_ring, Start, 0);
        byte[] state = before.Save(7);

        GuestHistory after = new(new HeatRing(Pages), new LongCurve());
        Assert.Null(after.Restore(state, 7));
        Assert.Equal(255, Cell(after.Ring.Read(TimeSpan.FromSeconds(5), Start), 0, 0));
        Observe(after.Ring, Start + 10, 1);
        HeatPicture picture = after.Ring.Read(TimeSpan.FromSeconds(15), Start + 10);
        Assert.Equal((255, 0, 1), (Cell(picture, 0, 0), Cell(picture, 0, 1), Cell(picture, 0, 2)));
    }

    [Fact]
    public void Another_guests_a_damaged_and_a_foreign_state_are_refused_in_words()
    {
        GuestHistory history = new(_ring, new LongCurve());
        byte[] state = history.Save(7);
        Assert.NotNull(history.Restore(state, 8));
        Assert.NotNull(history.Restore(state.AsSpan(0, state.Length - 1), 7));
        Assert.NotNull(history.Restore([], 7));
        Assert.Equal("it is no history",
            history.Restore(new VirtTier.Tiering.Planning.PlacementPlanner(512).SaveState(7), 7));
        Assert.Same(_ring, history.Ring);
    }

    [Fact]
    public void Memory_that_grows_at_its_end_keeps_what_was_seen_of_the_rest()
    {
        GuestHistory history = new(_ring, new LongCurve());
        Observe(_ring, Start, 7);
        history.Resize(2 * Pages);
        HeatPicture picture = history.Ring.Read(TimeSpan.FromSeconds(5), Start);
        Assert.Equal((1, 255, 0), (Cell(picture, 6, 0), Cell(picture, 7, 0), Cell(picture, 8, 0)));

        history.Resize(512 * PageSizes.BlockPages); // two blocks a row
        picture = history.Ring.Read(TimeSpan.FromSeconds(5), Start);
        Assert.Equal((256, 1024), (picture.Rows, picture.RowPages));
        Assert.Equal(0, Cell(picture, 8, 0));
    }

    private static void Observe(HeatRing ring, long second, int block)
    {
        ulong[] accessed = new ulong[ring.Pages / 64];
        accessed.AsSpan(block * 8, 8).Fill(ulong.MaxValue);
        ring.Observe(accessed, [.. Enumerable.Repeat(MappingSize.Size4K, ring.Pages / PageSizes.BlockPages)], second);
    }

    private static byte Cell(HeatPicture picture, int row, int column) => picture.Cells.Span[(column * picture.Rows) + row];
}
