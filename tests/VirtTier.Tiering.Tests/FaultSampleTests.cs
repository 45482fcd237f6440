// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

/// <summary>What fault samples tell beyond accessed bits: how much of a 2 MiB mapping is in use, and where writes go.</summary>
public sealed class FaultSampleTests
{
    private const int Block = PageSizes.BlockPages;
    private const int Blocks = 64;

    // Half of the blocks are in use as a whole, the others have one page in use; their bits look alike.
    private static bool IsWhole(int block) => block % 2 == 1;

    private static ModelGuest HugeGuest(bool sampled)
    {
        ModelGuest guest = new(Blocks * Block, hugePages: true, sampled: sampled);
        TouchEachRegion(guest);
        guest.Harvest();
        return guest;
    }

    private static void TouchEachRegion(ModelGuest guest)
    {
        for (int block = 0; block < Blocks; block++)
            guest.Touch(block * Block);
    }

    private static void TouchAll(ModelGuest guest, int samples, Func<int, bool> isWhole)
    {
        TouchEachRegion(guest);
        for (int i = 0; i < samples; i++)
        {
            int block = guest.Random.Next(Blocks);
            guest.Planner.Sample((block * Block) + (isWhole(block) ? guest.Random.Next(Block) : 0), write: false);
        }
    }

    private static double WholeShareOfFast(ModelGuest guest, Func<int, bool> isWhole) =>
        Enumerable.Range(0, Blocks).Where(isWhole).Sum(r => guest.ShareFast((r * Block)..((r + 1) * Block))) * Block / guest.Fast;

    [Fact]
    public void Mappings_in_use_as_a_whole_come_before_those_with_one_busy_page()
    {
        ModelGuest guest = HugeGuest(sampled: true);
        guest.Run(30, budget: 24 * Block, () => TouchAll(guest, samples: 25, IsWhole));
        Assert.InRange(guest.Fast, 22 * Block, 24 * Block);
        Assert.Equal(1, WholeShareOfFast(guest, IsWhole));

        // Half of the blocks weigh an eighth, so that is how figures, curve and its error see the guest.
        double share = guest.Fast / (double)Block / (32 + (32 / 8.0));
        Assert.InRange(guest.Plan.PlannedFastShare, share - 0.01, share + 0.01);
        DramCurve curve = guest.Planner.Curve(TimeSpan.FromSeconds(1))!;
        Assert.InRange(1 - curve.SlowShare(guest.Fast), share - 0.01, share + 0.01);
        Assert.InRange(curve.Error, 0, 0.05);
    }

    [Fact]
    public void Without_samples_they_look_alike()
    {
        ModelGuest guest = HugeGuest(sampled: false);
        guest.Run(30, budget: 24 * Block, () => TouchEachRegion(guest));
        Assert.InRange(WholeShareOfFast(guest, IsWhole), 0.2, 0.8);
    }

    [Fact]
    public void A_changed_use_is_learned_anew_and_then_nothing_moves()
    {
        ModelGuest guest = HugeGuest(sampled: true);
        guest.Run(60, budget: 24 * Block, () => TouchAll(guest, samples: 25, IsWhole));
        static bool Turned(int block) => !IsWhole(block);
        guest.Run(100, budget: 24 * Block, () => TouchAll(guest, samples: 25, Turned));
        Assert.InRange(WholeShareOfFast(guest, Turned), 0.95, 1);
        long moved = guest.Moved;
        guest.Run(50, budget: 24 * Block, () => TouchAll(guest, samples: 25, Turned));
        Assert.InRange(guest.Moved - moved, 0, 4 * Block);
    }

    [Theory]
    [InlineData(4.0, 1.0)]
    [InlineData(1.0, 0.5)]
    public void Where_writes_weigh_more_the_pages_that_are_written_come_first(double weight, double share)
    {
        // Blocks that are written and blocks that are read take turns, all as busy.
        ModelGuest guest = new(Blocks * Block, sampled: true);
        guest.Planner.WriteWeight = weight;
        guest.Touch(..);
        guest.Harvest();
        guest.Run(40, budget: 24 * Block, () =>
        {
            guest.Touch(..);
            // A quarter of the landmines are of writes only.
            for (int i = 0; i < 50; i++)
            {
                int page = guest.Random.Next(Blocks * Block);
                if (i >= 12)
                    guest.Planner.Sample(page, write: false);
                else if (IsWhole(page / Block))
                    guest.Planner.Sample(page, write: true);
            }
            guest.Planner.CountLandmines(any: 38, write: 12);
        });
        Assert.InRange(WholeShareOfFast(guest, IsWhole), share - 0.3, share == 1 ? 1 : share + 0.3);
        if (share == 1)
            Assert.InRange(WholeShareOfFast(guest, IsWhole), 0.97, 1);
    }

    [Theory]
    [InlineData(4.0, 3)]
    [InlineData(4.0, 4)]
    [InlineData(4.0, 5)]
    [InlineData(0.25, 3)]
    [InlineData(0.25, 4)]
    [InlineData(0.25, 5)]
    public void What_weighs_more_comes_first_however_much_is_written_and_dear_as_moves_may_be(double weight, int writtenOfEight)
    {
        ModelGuest guest = new(Blocks * Block, sampled: true);
        guest.Planner.WriteWeight = weight;
        guest.Planner.MoveCost = 4;
        guest.Touch(..);
        guest.Harvest();
        bool IsWritten(int block) => block % 8 < writtenOfEight;
        guest.Run(80, budget: Blocks / 4 * Block, () =>
        {
            guest.Touch(..);
            for (int i = 0; i < 50; i++)
            {
                int page = guest.Random.Next(Blocks * Block);
                if (i >= 12)
                    guest.Planner.Sample(page, write: false);
                else if (IsWritten(page / Block))
                    guest.Planner.Sample(page, write: true);
            }
            guest.Planner.CountLandmines(any: 38, write: 12);
        });
        Assert.InRange(WholeShareOfFast(guest, block => IsWritten(block) == weight > 1), 0.95, 1);
    }

    [Fact]
    public void A_mapping_that_is_broken_up_is_hot_where_it_was_sampled()
    {
        ModelGuest guest = HugeGuest(sampled: true);
        guest.Run(8, budget: Blocks * Block, () =>
        {
            TouchEachRegion(guest);
            for (int i = 0; i < 4; i++)
                guest.Planner.Sample((Block * 3) + 100 + i, write: false); // of block 3 always the same, of block 5 any
            guest.Planner.Sample((Block * 5) + guest.Random.Next(Block), write: false);
        });
        byte heat = guest.Planner.Heat[Block * 3];
        Assert.Equal(heat, guest.Planner.Heat[Block * 5]);

        guest.Sizes[3] = guest.Sizes[5] = MappingSize.Size4K;
        guest.Harvest();

        ReadOnlySpan<byte> few = guest.Planner.Heat.Slice(Block * 3, Block);
        Assert.False(few[100..104].ContainsAnyExcept(heat));
        Assert.False(few[104..].ContainsAnyExceptInRange((byte)0, PageState.HeatOf(PageState.ShareOf(heat) / 10)));
        Assert.False(guest.Planner.Heat.Slice(Block * 5, Block).ContainsAnyExcept(heat));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_block_that_is_mapped_otherwise_weighs_what_any_does(bool split)
    {
        MappingSize[] sizes = [split ? MappingSize.Size2M : MappingSize.Size4K];
        BlockSamples samples = new(new PageHistory(Block), sizes, sampled: true);
        for (int i = 0; i < 80; i++)
            samples.Add(i % 2);
        samples.Weigh(writeWeight: 1, _ => false);
        Assert.Equal(split, samples.Weight(0) != 0);
        if (split)
            samples.Split(0);
        else
            samples.Join(0);
        Assert.Equal(0, samples.Weight(0));
        // What was known is gone: a few samples of one page prove nothing.
        sizes[0] = MappingSize.Size2M;
        samples.Add(9);
        samples.Weigh(writeWeight: 1, _ => false);
        Assert.Equal(0, samples.Weight(0));
    }

    [Theory]
    [InlineData(false, 0.125)]
    [InlineData(true, 1)]
    public void A_block_that_few_pages_carry_weighs_less_unless_it_is_split_instead(bool isSplitInstead, double weight)
    {
        BlockSamples samples = new(new PageHistory(Block), [MappingSize.Size2M], sampled: true);
        for (int i = 0; i < 40; i++)
            samples.Add(7);
        samples.Weigh(writeWeight: 1, _ => isSplitInstead);
        Assert.Equal(weight, AccessWeight.Factor(samples.Weight(0)));
    }

    [Fact]
    public void A_mapping_whose_memory_the_guest_gave_back_begins_anew()
    {
        MappingSize[] sizes = [MappingSize.Size2M];
        PageHistory history = new(Block);
        BlockSamples samples = new(history, sizes, sampled: true);
        RoundCensus census = new(history, sizes, samples);
        byte[] residency = new byte[Block];
        Array.Fill(residency, Residency.Fast);
        census.Take(residency, quarters: 4, round: 1);
        for (int i = 0; i < 40; i++)
            samples.Add(7);
        samples.Weigh(writeWeight: 1, _ => false);
        Assert.NotEqual(0, samples.Weight(0));

        Array.Fill(residency, Residency.Absent);
        census.Take(residency, quarters: 4, round: 2);

        Assert.Equal(0, samples.Weight(0));
        Assert.False(history.Heat.ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void What_the_guest_wrote_long_ago_does_not_count()
    {
        BlockSamples samples = new(new PageHistory(2 * Block), [MappingSize.Size4K, MappingSize.Size4K], sampled: true);
        for (int i = 0; i < 400; i++)
        {
            samples.Add(1);
            samples.Add(Block);
            if (i >= 300)
                samples.AddWrite(1);
            samples.CountLandmines(any: 2, write: 2);
        }
        samples.Weigh(writeWeight: 4, _ => false);
        // The other block is written now, which is half of what the guest does.
        Assert.Equal(0.5, AccessWeight.Factor(samples.Weight(1)));
    }

    [Fact]
    public void A_block_that_was_written_and_is_read_now_weighs_less_in_the_end()
    {
        BlockSamples samples = new(new PageHistory(2 * Block), [MappingSize.Size4K, MappingSize.Size4K], sampled: true);
        double[] weights = new double[2];
        for (int turn = 0; turn < 2; turn++)
        {
            for (int i = 0; i < 400; i++)
            {
                samples.Add(1);
                samples.Add(Block);
                samples.AddWrite(turn == 0 ? 1 : Block);
                samples.CountLandmines(any: 2, write: 2);
            }
            samples.Weigh(writeWeight: 4, _ => false);
            weights[turn] = AccessWeight.Factor(samples.Weight(0)) / AccessWeight.Factor(samples.Weight(1));
        }
        Assert.InRange(weights[0], 2, 8);
        Assert.InRange(weights[1], 0.125, 0.5);
    }

    [Fact]
    public void Pages_that_come_to_be_mapped_as_one_begin_without_samples()
    {
        ModelGuest guest = new(Blocks * Block, sampled: true);
        guest.Run(8, budget: Blocks * Block, () => guest.Touch(..));
        byte heat = guest.Planner.Heat[0];
        guest.Sizes[0] = MappingSize.Size2M;
        guest.Harvest();
        Assert.Equal(heat, guest.Planner.Heat[0]);
        Assert.False(guest.Planner.Heat[1..Block].ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void What_samples_told_outlives_the_planner()
    {
        ModelGuest guest = HugeGuest(sampled: true);
        guest.Run(30, budget: 24 * Block, () => TouchAll(guest, samples: 25, IsWhole));
        PlacementPlanner restored = new(Blocks * Block, sampled: true);
        Assert.Null(restored.RestoreState(guest.Planner.SaveState(layout: 1), layout: 1));
        PlacementPlanner takenOver = new(Blocks * Block, sampled: true);
        takenOver.TakeOver(guest.Planner, [(0, 0, Blocks * Block)]);
        foreach (PlacementPlanner planner in (PlacementPlanner[])[restored, takenOver])
        {
            MovePlan plan = new();
            byte[] residency = new byte[Blocks * Block];
            Array.Fill(residency, Residency.Slow);
            planner.EndRound(residency, budgetPages: 24 * Block, maxMoves: long.MaxValue, plan);
            Assert.Equal(24, plan.Promotions.Length);
            Assert.All(plan.Promotions.ToArray(), run => Assert.True(IsWhole(run.First / Block)));
        }

        PlacementPlanner unsampled = new(Blocks * Block);
        Assert.Null(unsampled.RestoreState(guest.Planner.SaveState(layout: 1), layout: 1));
        unsampled.EndRound(guest.Residencies, budgetPages: 24 * Block, maxMoves: 0, guest.Plan);
        Assert.Equal(24.0 / Blocks, guest.Plan.FastShare, 0.01); // to it all blocks weigh the same
    }

    [Fact]
    public void A_planner_made_for_none_refuses_them_and_others_refuse_what_is_no_page()
    {
        Assert.Throws<InvalidOperationException>(() => new PlacementPlanner(Block).Sample(0, write: false));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PlacementPlanner(Block, sampled: true).Sample(Block, write: false));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PlacementPlanner(Block).WriteWeight = 0);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(32)]
    [InlineData(128)]
    [InlineData(512)]
    public void The_number_of_pages_in_use_is_estimated_within_an_octave(int used)
    {
        Random random = new(1);
        double sum = 0;
        const int runs = 100, samples = 48;
        for (int run = 0; run < runs; run++)
            sum += UsedPages.Log2(Enumerable.Range(0, samples).Select(_ => random.Next(used)).Distinct().Count(), samples);
        Assert.InRange(sum / runs, Math.Log2(used) - 1, Math.Log2(used) + 1);
    }

    [Fact]
    public void A_class_of_weight_is_kept_until_the_weight_is_clearly_another()
    {
        Assert.Equal(1, AccessWeight.Factor(AccessWeight.ClassOf(0.28, before: 0)));
        Assert.Equal(Math.Sqrt(2), AccessWeight.Factor(AccessWeight.ClassOf(0.32, before: 0)), precision: 9);
        byte twice = AccessWeight.ClassOf(0.65, before: 0, isCoarse: true);
        Assert.Equal(2, AccessWeight.Factor(twice));
        Assert.Equal(twice, AccessWeight.ClassOf(0.55, twice, isCoarse: true));
        Assert.Equal(1, AccessWeight.Factor(AccessWeight.ClassOf(0.2, twice, isCoarse: true)));
        Assert.Equal(0.125, AccessWeight.Factor(AccessWeight.ClassOf(-10, twice)));
        Assert.Equal(4, AccessWeight.Factor(AccessWeight.ClassOf(10, twice)));
    }
}
