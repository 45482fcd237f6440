// SPDX-License-Identifier: Apache-2.0
using System.IO.Compression;
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

public sealed class HeatSummaryTests
{
    private const int Pages = 8192;
    private const int Budget = 1024;
    private static readonly HeatRange[] s_ranges = [new(0, 4096), new(1 << 20, 4096)];

    private static byte[] PackLevels(byte[] levels, params HeatRange[] ranges) =>
        HeatSummary.Pack(ranges, (first, count, _) => (levels.AsSpan(first, count).ToArray().Max(), count))!;

    private static string? Unpack(ReadOnlySpan<byte> packed, long pages, List<HeatRun> runs) =>
        HeatSummary.Unpack(packed, pages, runs.Add);

    private static byte[] LevelsOf(byte[] packed, HeatRange[] ranges)
    {
        List<HeatRun> runs = [];
        Assert.Null(Unpack(packed, ranges.Sum(r => (long)r.Pages), runs));
        byte[] levels = new byte[ranges.Sum(r => r.Pages)];
        int start = 0;
        foreach (HeatRange range in ranges)
        {
            ulong end = range.FirstGfn + (ulong)range.Pages;
            foreach (HeatRun run in runs.Where(r => r.FirstGfn >= range.FirstGfn && r.FirstGfn < end))
                levels.AsSpan(start + (int)(run.FirstGfn - range.FirstGfn), (int)run.Pages).Fill((byte)run.Level);
            start += range.Pages;
        }
        return levels;
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(30)]
    [InlineData(255)]
    public void What_is_written_is_read_page_by_page(int density)
    {
        Random random = new(density);
        byte[] levels = new byte[Pages];
        for (int page = 0; page < Pages; page += 1 + random.Next(1 + (4 * density)))
            levels[page] = (byte)random.Next(HeatSummary.Levels);
        levels[^1] = 5;
        byte[] packed = PackLevels(levels, s_ranges);
        Assert.InRange(packed.Length, 1, HeatSummary.Limit(Pages));
        byte[] read = LevelsOf(packed, s_ranges);

        // As fine as it fits: what is coarser has the hottest of each unit.
        byte[] halves = [.. levels.Select(level => (byte)(level < 3 ? 1 : 4))];
        int unit = Enumerable.Range(0, 6).Select(i => 1 << (3 * i)).First(
            u => Coarse(levels, u).AsSpan().SequenceEqual(read) || Coarse(halves, u).AsSpan().SequenceEqual(read));
        Assert.True(unit == 1 || density < 30, $"{unit} pages to a level, {packed.Length} bytes");
    }

    private static byte[] Coarse(byte[] levels, int unit) =>
        [.. levels.Select((_, page) => page - (page % unit)).Select(
            first => levels.AsSpan(first, Math.Min(unit, levels.Length - first)).ToArray().Max())];

    [Theory]
    [InlineData(1)]
    [InlineData(64)]
    [InlineData(1024)]
    public void However_large_and_noisy_the_guest_it_keeps_its_limit(int gibibytes)
    {
        long pages = (long)gibibytes << 18;
        HeatRange[] ranges = [.. Enumerable.Range(0, Math.Max(1, gibibytes >> 10)).Select(
            i => new HeatRange((ulong)i << 28, (int)(pages / Math.Max(1, gibibytes >> 10))))];
        // A level that no neighbour shares, from the place alone.
        byte[]? packed = HeatSummary.Pack(
            ranges, (first, count, _) => ((first >> 15) % 2 == 0 ? 1 + (int)((uint)first * 2654435761 >> 30) : 0, count));
        Assert.NotNull(packed);
        Assert.InRange(packed.Length, 1, Math.Min(128 << 10, (4 << 10) * (1 + gibibytes)));
        List<HeatRun> runs = [];
        Assert.Null(Unpack(packed, pages, runs));
        Assert.Equal(pages, runs.Sum(r => r.Pages));
    }

    [Fact]
    public void What_packs_badly_is_told_coarsely()
    {
        Random random = new(5);
        byte[] levels = new byte[1 << 18];
        for (int page = 0, length; page < levels.Length; page += length)
        {
            length = Math.Min(levels.Length - page, 1 + random.Next(40));
            levels.AsSpan(page, length).Fill((byte)random.Next(HeatSummary.Levels));
        }
        byte[] packed = PackLevels(levels, [new HeatRange(0, levels.Length)]);
        Assert.InRange(packed.Length, 1, 8 << 10);
    }

    [Fact]
    public void A_hot_page_in_each_block_of_a_GiB_is_told_page_by_page()
    {
        HeatRange[] ranges = [new(0, 1 << 18)];
        byte[] levels = new byte[1 << 18];
        for (int block = 0; block < 512; block++)
            levels[(block * 512) + (int)((uint)block * 2654435761 >> 23)] = 5;
        byte[] packed = PackLevels(levels, ranges);
        Assert.Equal(levels, LevelsOf(packed, ranges));
        Assert.InRange(packed.Length, 1, 4 << 10);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    public void Of_a_guest_whose_pages_are_all_alike_there_is_none(int level)
    {
        PlacementPlanner planner = new(Pages);
        planner.Seed(0, Pages, level);
        Assert.Null(planner.Summarize(s_ranges));
        planner.Seed(7000, 1, 5 - level);
        Assert.NotNull(planner.Summarize(s_ranges));
    }

    [Fact]
    public void Where_six_levels_do_not_fit_two_are_told_page_by_page()
    {
        HeatRange[] ranges = [new(0, 1 << 18)];
        Random random = new(3);
        // A hot and a cold half, each of levels at random.
        byte[] levels = [.. Enumerable.Range(0, 1 << 18).Select(page => (byte)((page < 100_001 ? 3 : 0) + random.Next(3)))];
        byte[] packed = PackLevels(levels, ranges);
        Assert.Equal(levels.Select(level => (byte)(level < 3 ? 1 : 4)), LevelsOf(packed, ranges));
    }

    [Fact]
    public void What_a_guest_uses_now_and_then_stays_where_a_cold_start_would_lose_it()
    {
        // A hot set that is touched in turns: a round shows an eighth of it.
        int[] hot = [.. Enumerable.Range(0, Pages).Where(page => (uint)page * 2654435761 >> 28 == 0)];
        ModelGuest source = new(Pages);
        source.Touch(..);
        int turn = 0;
        source.Run(80, Budget, () => TouchTurn(source, hot, turn++ / 4));
        byte[] summary = source.Planner.Summarize(s_ranges)!;

        double warm = HotShareAfterTwoRounds(summary, hot, turn / 4), cold = HotShareAfterTwoRounds(null, hot, turn / 4);
        Assert.True(warm >= 0.9, $"with the summary {warm:0.00} of the hot set, without {cold:0.00}");
        Assert.True(cold < 0.7, $"without the summary {cold:0.00}: the guest shows nothing");
    }

    private static double HotShareAfterTwoRounds(byte[]? summary, int[] hot, int turn)
    {
        ModelGuest arrived = new(Pages);
        arrived.Residencies.Fill(Residency.Fast);
        if (summary is not null)
        {
            Assert.Null(HeatSummary.Unpack(summary, Pages, run => arrived.Planner.Seed(
                (int)(run.FirstGfn >= 1 << 20 ? run.FirstGfn - (1 << 20) + 4096 : run.FirstGfn), (int)run.Pages, run.Level)));
        }
        int harvests = turn * 4;
        arrived.Run(2, Budget, () => TouchTurn(arrived, hot, harvests++ / 4));
        Assert.InRange(arrived.Residencies.ToArray().Count(r => r == Residency.Fast), 1, Budget);
        return hot.Count(page => arrived.Residencies[page] == Residency.Fast) / (double)hot.Length;
    }

    private static void TouchTurn(ModelGuest guest, int[] hot, int turn)
    {
        for (int i = turn % 8; i < hot.Length; i += 8)
            guest.Touch(hot[i]..(hot[i] + 1));
    }

    [Fact]
    public void Before_it_runs_the_coldest_blocks_go_and_no_more_than_the_budget_needs()
    {
        PlacementPlanner planner = new(Pages);
        planner.Seed(0, Pages, 0);
        planner.Seed(512, 512, 1);
        planner.Seed(1024, 1, 5); // a block that is hot by one page stays whole
        planner.Seed(1536, 512, 3);
        byte[] residency = new byte[Pages];
        residency.AsSpan().Fill(Residency.Fast);
        residency.AsSpan(4096).Fill(Residency.Absent);
        residency[100] = Residency.Fast | Residency.Immovable;
        MovePlan plan = new();

        planner.DemoteBeforeItRuns(residency, budgetPages: 4096 - 300, maxMoves: long.MaxValue, plan);
        Assert.Equal(300, plan.DemotedPages);
        Assert.DoesNotContain(plan.Demotions.ToArray(), run => run.First == 100);

        planner.DemoteBeforeItRuns(residency, budgetPages: 0, maxMoves: 70, plan);
        Assert.Equal(70, plan.DemotedPages);

        planner.DemoteBeforeItRuns(residency, budgetPages: 0, maxMoves: long.MaxValue, plan);
        int[] gone = [.. plan.Demotions.ToArray().Select(run => run.First)];
        Assert.Equal(4096 - 1024 - 1, gone.Length);
        Assert.All(gone, page => Assert.False(page is >= 1024 and < 2048));
        Assert.Equal(512, gone.Reverse().TakeWhile(page => page is >= 512 and < 1024).Count()); // the less cold come last
    }

    [Fact]
    public void Of_a_block_mapped_as_one_the_first_page_tells()
    {
        ModelGuest guest = new(Pages);
        guest.Sizes[2] = MappingSize.Size2M;
        guest.Touch(..);
        guest.Run(20, Pages, () => guest.Touch(1024..1025));
        byte[] levels = LevelsOf(guest.Planner.Summarize(s_ranges)!, s_ranges);
        Assert.All(levels[1024..1536], level => Assert.Equal(5, level));
        Assert.All(levels[..1024], level => Assert.InRange(level, 0, 2));
    }

    [Fact]
    public void Truncated_flipped_or_replaced_anywhere_it_is_refused()
    {
        byte[] levels = new byte[Pages];
        levels.AsSpan(100, 300).Fill(4);
        byte[] packed = PackLevels(levels, s_ranges);
        for (int i = 0; i < packed.Length; i++)
        {
            Assert.NotNull(Unpack(packed.AsSpan(0, i), Pages, []));
            byte[] flipped = [.. packed];
            flipped[i] ^= 0x41;
            // The number of the layout, which a summary does not use, must be its own too.
            Assert.NotNull(Unpack(flipped, Pages, []));
        }
        Assert.Contains("pages", Unpack(packed, Pages * 4, []), StringComparison.Ordinal);
        Assert.Contains("pages", Unpack(packed, Pages / 4, []), StringComparison.Ordinal);
        Assert.Contains("bytes", Unpack(new byte[HeatSummary.MostBytes + 1], Pages, []), StringComparison.Ordinal);
        Assert.Contains("version 9", Unpack(Forge([], version: 9), Pages, []), StringComparison.Ordinal);
    }

    // With a right checksum: whoever can write one can make it.
    private static byte[] Forge(byte[] contents, uint version = 1) => HeatFileFormat.Pack(
        0, writer => writer.Write(contents), new HeatFileKind("VTTRAVEL", version, "", CompressionLevel.Optimal));

    private static byte[] Contents(byte shift, (ulong First, long Pages)[] ranges, params long[] runs)
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write(shift);
        writer.Write((ushort)ranges.Length);
        foreach ((ulong first, long pages) in ranges)
        {
            writer.Write(first);
            writer.Write(pages);
        }
        foreach (long run in runs)
            writer.Write7BitEncodedInt64(run);
        return stream.ToArray();
    }

    public static TheoryData<string, byte[]> Crafted => new()
    {
        { "unit", Contents(2, [(0, Pages)], Pages << 3) },
        { "ranges", Contents(0, []) },
        { "range", Contents(0, [(0, 0)]) },
        { "range", Contents(0, [(0, -5)]) },
        { "range", Contents(0, [(ulong.MaxValue, Pages)]) },
        { "range", Contents(0, [(0, long.MaxValue)]) },
        { "range", Contents(0, [(0, Pages), (10, Pages)]) },
        { "pages", Contents(0, [(0, 1L << 40)], 1) },
        { "run", Contents(0, [(0, Pages)], (Pages << 3) | 6) },
        { "run", Contents(0, [(0, Pages)], (Pages + 1) << 3) },
        { "run", Contents(0, [(0, Pages)], 0) },
        { "run", Contents(0, [(0, Pages)], -1) },
        { "number", [.. Contents(0, [(0, Pages)]), .. Enumerable.Repeat((byte)0xff, 20)] },
        { "breaks off", Contents(0, [(0, Pages)], 8 << 3) },
        { "goes on", Contents(0, [(0, Pages)], Pages << 3, 1) },
    };

    [Theory]
    [MemberData(nameof(Crafted))]
    public void Crafted_with_a_right_checksum_it_is_refused_for_what_is_wrong(string why, byte[] contents) =>
        Assert.Contains(why, Unpack(Forge(contents), Pages, []), StringComparison.Ordinal);

    [Fact]
    public void A_bomb_is_given_up_before_it_is_large()
    {
        // Millions of runs of one page, packed into less than a summary may have.
        long pages = 20_000_000;
        byte[] bomb = Forge([.. Contents(0, [(0, pages)]), .. Enumerable.Repeat((byte)(1 << 3), 20_000_000)]);
        Assert.InRange(bomb.Length, 1, HeatSummary.MostBytes);
        long taken = 0, before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("number of runs", HeatSummary.Unpack(bomb, pages, run => taken += run.Pages), StringComparison.Ordinal);
        Assert.InRange(taken, 1, 1 << 19);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
    }

    [Fact]
    public void Any_contents_are_refused_or_within_the_guest()
    {
        Random random = new(16);
        int read = 0;
        for (int i = 0; i < 5000; i++)
        {
            byte[] contents = new byte[random.Next(40)];
            random.NextBytes(contents);
            byte[] head = Contents((byte)(random.Next(6) * 3), [(0, 1 + random.Next(3 * Pages))]);
            List<HeatRun> runs = [];
            string? refusal = Unpack(Forge(i % 2 == 0 ? contents : [.. head, .. contents]), Pages, runs);
            read += runs.Count;
            Assert.True(refusal is not null || runs.Count > 0);
            Assert.All(runs, run => Assert.InRange((long)run.FirstGfn + run.Pages, 1, (Pages * 2) + 1));
        }
        Assert.True(read > 0, "nothing was read at all");
    }
}
