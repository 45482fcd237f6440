// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

/// <summary>Rates of pages that every equal harvest finds accessed, from harvests after unequal times.</summary>
public sealed class TouchRatesTests
{
    private const int Block = PageSizes.BlockPages;
    private static readonly int[] s_spaces = [10, 40, 160, 790];

    private readonly Random _random = new(1);

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(10)]
    [InlineData(30)]
    [InlineData(100)]
    [InlineData(300)]
    public void A_rate_is_found_within_a_factor_of_two_and_without_bias(double rate)
    {
        TouchRates rates = new(1);
        rates.AddSaturated(0, 1);

        PlayRounds(rates, 60, MappingSize.Size4K, _ => rate);

        double[] errors = [.. Enumerable.Range(0, Block).Select(page => Math.Log2(rates.PerSecond(page) / rate)).Order()];
        Assert.InRange(errors[Block / 100], -1, 1);
        Assert.InRange(errors[^(Block / 100)], -1, 1);
        Assert.InRange(errors.Average(), -0.15, 0.15);
    }

    [Fact]
    public void Pages_a_hundredfold_apart_are_told_apart_soon_and_a_change_is_followed_in_time()
    {
        TouchRates rates = new(1);
        rates.AddSaturated(0, 1);
        PlayRounds(rates, 8, MappingSize.Size4K, page => page < Block / 2 ? 200 : 2);
        Assert.InRange(Middle(rates, 0..(Block / 2)) / Middle(rates, (Block / 2)..Block), 30, 300);

        PlayRounds(rates, 45, MappingSize.Size4K, page => page < Block / 2 ? 2 : 200);
        Assert.InRange(Middle(rates, (Block / 2)..Block) / Middle(rates, 0..(Block / 2)), 30, 300);
    }

    [Fact]
    public void Pages_that_come_into_use_near_busy_ones_begin_at_the_usual_rate()
    {
        bool moved = false;
        Func<int, bool> isFast = _ => false;
        // DRAM holds half of the hot units, all of them calm; later as many others come into use, busier than all.
        double Rate(int unit) => unit < HotUnits ? 25 : moved && unit % 2 == 0 ? 800 : 0;
        Play(MappingSize.Size4K, glances: true, Rate, out _, (round, fast) =>
        {
            moved = round > Rounds - 24;
            isFast = fast;
        });

        int busy = Enumerable.Range(HotUnits, HotUnits).Count(unit => unit % 2 == 0 && isFast(unit));
        Assert.InRange(busy, HotUnits / 4, HotUnits / 2);
    }

    [Fact]
    public void A_rate_begins_anew_at_the_usual_one_and_is_not_lowered_by_that()
    {
        TouchRates rates = new(1);
        rates.AddSaturated(0, 1);
        PlayRounds(rates, 40, MappingSize.Size4K, page => page < 2 ? 64 : page == 2 ? 300 : 0);
        (double idle, double busy) = (rates.PerSecond(100), rates.PerSecond(2));

        rates.Restart(100);
        rates.Restart(2);

        Assert.True(idle < 1);
        Assert.Equal((rates.Usual, busy), (rates.PerSecond(100), rates.PerSecond(2)));
    }

    [Fact]
    public void A_block_mapped_as_one_has_one_rate()
    {
        TouchRates rates = new(1);
        rates.AddSaturated(0, Block);

        PlayRounds(rates, 60, MappingSize.Size2M, page => page == 0 ? 50 : 0);

        Assert.InRange(rates.PerSecond(0), 25, 100);
    }

    [Fact]
    public void Blocks_without_a_busy_page_are_not_kept_and_their_places_are_used_again()
    {
        TouchRates rates = new(4);
        rates.AddSaturated(Block + 5, 1);
        Assert.False(rates.Has(1)); // from the next round on
        PlayRounds(rates, 4, MappingSize.Size4K, _ => 20, saturated: Block + 5);
        Assert.True(rates.Has(1));
        Assert.False(rates.Has(0));

        PlayRounds(rates, 20, MappingSize.Size4K, _ => 20);
        Assert.False(rates.Has(1));
        rates.AddSaturated(2 * Block, Block);
        PlayRounds(rates, 30, MappingSize.Size4K, page => page / Block == 2 ? 20 : 0, saturated: 2 * Block);
        Assert.InRange(Middle(rates, (2 * Block)..(3 * Block)), 10, 40); // nothing is left of the other block's
        rates.Forget(2);
        Assert.False(rates.Has(2));
    }

    [Fact]
    public void A_page_weighs_by_its_octaves_from_the_mean_as_far_as_there_are_classes()
    {
        TouchRates rates = new(1);
        rates.AddSaturated(0, 1);
        Assert.Null(rates.Usual);
        PlayRounds(rates, 40, MappingSize.Size4K, page => page < 2 ? 64 : page < 4 ? 16 : 2, saturated: 0);

        Assert.Equal(64, rates.Usual);
        Assert.Equal(1, AccessWeight.Factor(rates.Weight(0, 0)));
        Assert.InRange(AccessWeight.Factor(rates.Weight(2, 0)), 0.125, 0.5);
        Assert.Equal(0.125, AccessWeight.Factor(rates.Weight(100, 0)));
        byte heavy = AccessWeight.ClassOf(2, before: 0);
        Assert.Equal(4, AccessWeight.Factor(rates.Weight(0, heavy)));
        Assert.InRange(AccessWeight.Factor(rates.Weight(2, heavy)), 0.5, 2);
    }

    [Theory]
    [InlineData(MappingSize.Size4K)]
    [InlineData(MappingSize.Size2M)]
    public void Where_DRAM_holds_a_part_of_the_hot_pages_it_is_the_busiest_part(MappingSize size)
    {
        // Of 64 hot units half are touched 32 times as often; equal harvests find all of them every time.
        Assert.InRange(BusiestInDram(size, glances: true), 0.9, 1);
        Assert.InRange(BusiestInDram(size, glances: false), 0, 0.75);
    }

    [Fact]
    public void Pages_that_are_alike_but_for_their_rates_are_told_apart()
    {
        // All are found every time and are on the slow tier until there is a budget, so neighbours are alike.
        int[] fast = [0, 0];
        Play(MappingSize.Size4K, glances: true, unit => unit >= HotUnits ? 0 : unit % 2 == 0 ? 800 : 100, out _, (_, isFast) =>
        {
            for (int odd = 0; odd < 2; odd++)
                fast[odd] = Enumerable.Range(0, HotUnits).Count(unit => unit % 2 == odd && isFast(unit));
        }, budget: round => round < Rounds - 1 ? 0 : HotUnits / 2);

        Assert.Equal([HotUnits / 2, 0], fast);
    }

    [Fact]
    public void The_pool_goes_to_the_guest_whose_pages_are_touched_more()
    {
        DramCurve busy = Play(MappingSize.Size4K, glances: true, _ => 400, out _).Curve(TimeSpan.FromSeconds(1))!;
        DramCurve calm = Play(MappingSize.Size4K, glances: true, _ => 25, out _).Curve(TimeSpan.FromSeconds(1))!;
        DramCurve blind = Play(MappingSize.Size4K, glances: false, _ => 400, out _).Curve(TimeSpan.FromSeconds(1))!;

        Assert.True(busy.TotalRate > 8 * calm.TotalRate, $"{busy.TotalRate} and {calm.TotalRate}");
        Assert.True(blind.TotalRate < busy.TotalRate / 4, $"{blind.TotalRate} and {busy.TotalRate}");
    }

    [Fact]
    public void Glances_are_wanted_where_bits_saturate_always_at_first_and_then_in_one_of_four_rounds()
    {
        PlacementPlanner idle = new(Block, glanced: true);
        Assert.False(idle.WantsGlances);
        PlacementPlanner saturated = Play(MappingSize.Size4K, glances: true, _ => 100, out int glanced);
        Assert.InRange(glanced, 16 + ((Rounds - 20) / 4), 16 + ((Rounds - 16) / 4) + 1);
        Assert.NotNull(saturated.TouchRate(0));

        // Found by one harvest in five: what bits tell is enough.
        Play(MappingSize.Size4K, glances: true, _ => 1, out int needless);
        Assert.Equal(0, needless);
    }

    [Fact]
    public void A_quarter_with_glances_counts_once_and_the_rounds_turn_out_as_without()
    {
        PlacementPlanner with = new(Block, glanced: true), without = new(Block, glanced: true);
        ulong[] early = new ulong[Block / 64], late = new ulong[Block / 64], both = new ulong[Block / 64];
        MappingSize[] sizes = [MappingSize.Size4K];
        byte[] residency = [.. Enumerable.Repeat(Residency.Slow, Block)];
        MovePlan plan = new();
        for (int round = 0; round < 20; round++)
        {
            for (int harvest = 0; harvest < 4; harvest++)
            {
                for (int word = 0; word < early.Length; word++)
                {
                    (early[word], late[word]) = ((ulong)_random.NextInt64(), (ulong)_random.NextInt64());
                    both[word] = early[word] | late[word];
                }
                if (harvest == 1)
                {
                    with.Glance(early, sizes, TimeSpan.FromMilliseconds(10));
                    with.Observe(late, sizes, watched: TimeSpan.FromMilliseconds(240));
                }
                else
                    with.Observe(both, sizes, watched: TimeSpan.FromMilliseconds(250));
                without.Observe(both, sizes);
            }
            with.EndRound(residency, 0, 0, plan);
            without.EndRound(residency, 0, 0, plan);
            Assert.Equal(without.Heat, with.Heat);
        }
        Assert.Equal(20, with.Rounds);
    }

    [Fact]
    public void Misuse_is_refused()
    {
        ulong[] accessed = new ulong[Block / 64];
        MappingSize[] sizes = [MappingSize.Size4K];
        TimeSpan second = TimeSpan.FromSeconds(1);
        Assert.Throws<InvalidOperationException>(() => new PlacementPlanner(Block).Glance(accessed, sizes, second));
        PlacementPlanner planner = new(Block, glanced: true);
        Assert.Throws<ArgumentOutOfRangeException>("watched", () => planner.Glance(accessed, sizes, TimeSpan.Zero));
        Assert.Throws<ArgumentException>("accessed", () => planner.Glance([], sizes, second));
        Assert.Null(planner.TouchRate(0));
    }

    private const int Rounds = 60;
    private const int HotUnits = 64;

    // The share of the busier half of the hot units that DRAM, which has room for half of them, holds on average.
    private double BusiestInDram(MappingSize size, bool glances)
    {
        double sum = 0;
        Play(size, glances, unit => unit >= HotUnits ? 0 : unit % 2 == 0 ? 800 : 25, out _, (round, isFast) =>
        {
            if (round >= Rounds / 2)
                sum += Enumerable.Range(0, HotUnits).Count(unit => unit % 2 == 0 && isFast(unit)) / (HotUnits / 2.0);
        });
        return sum / (Rounds / 2);
    }

    private PlacementPlanner Play(
        MappingSize size, bool glances, Func<int, double> rate, out int glanced, Action<int, Func<int, bool>>? look = null,
        Func<int, int>? budget = null)
    {
        int each = size == MappingSize.Size2M ? Block : 1, pages = 512 * each;
        PlacementPlanner planner = new(pages, glanced: true);
        MovePlan plan = new();
        ulong[] accessed = new ulong[pages / 64];
        MappingSize[] sizes = [.. Enumerable.Repeat(size, pages / Block)];
        byte[] residency = [.. Enumerable.Repeat(Residency.Slow, pages)];
        glanced = 0;
        for (int round = 0; round < Rounds; round++)
        {
            bool glance = glances && planner.WantsGlances;
            glanced += glance ? 1 : 0;
            int[] times = glance ? [250, 10, 40, 200, 250, 250] : [250, 250, 250, 250];
            foreach (int milliseconds in times)
            {
                Array.Clear(accessed);
                for (int unit = 0; unit < 2 * HotUnits; unit++)
                    Touch(accessed, unit * each, rate(unit), milliseconds);
                TimeSpan watched = TimeSpan.FromMilliseconds(milliseconds);
                if (milliseconds < 200)
                    planner.Glance(accessed, sizes, watched);
                else
                    planner.Observe(accessed, sizes, watched: watched);
            }
            int most = (budget?.Invoke(round) ?? HotUnits / 2) * each;
            planner.EndRound(residency, most, maxMoves: budget is null ? long.MaxValue : most, plan);
            foreach (PageRun run in plan.Demotions.Span)
                residency.AsSpan(run.First, run.Count).Fill(Residency.Slow);
            foreach (PageRun run in plan.Promotions.Span)
                residency.AsSpan(run.First, run.Count).Fill(Residency.Fast);
            look?.Invoke(round, unit => residency[unit * each] == Residency.Fast);
        }
        return planner;
    }

    private void PlayRounds(TouchRates rates, int rounds, MappingSize size, Func<int, double> rate, int? saturated = null)
    {
        const int blocks = 4;
        ulong[] accessed = new ulong[blocks * Block / 64];
        MappingSize[] sizes = [.. Enumerable.Repeat(size, blocks)];
        for (int round = 0; round < rounds; round++)
        {
            foreach (int milliseconds in s_spaces)
            {
                Array.Clear(accessed);
                for (int page = 0; page < blocks * Block; page++)
                    Touch(accessed, page, rate(page), milliseconds);
                rates.Observe(accessed, sizes, TimeSpan.FromMilliseconds(milliseconds));
            }
            rates.EndRound();
            if (saturated is int page0)
                rates.AddSaturated(page0, 1);
            else if (rates.Has(0))
                rates.AddSaturated(0, 1);
        }
    }

    private void Touch(ulong[] accessed, int page, double rate, int milliseconds)
    {
        if (_random.NextDouble() >= Math.Exp(-rate * milliseconds / 1000))
            accessed[page / 64] |= 1UL << (page % 64);
    }

    private static double Middle(TouchRates rates, Range pages)
    {
        (int first, int count) = pages.GetOffsetAndLength(4 * Block);
        double[] sorted = [.. Enumerable.Range(first, count).Select(rates.PerSecond).Order()];
        return sorted[count / 2];
    }
}
