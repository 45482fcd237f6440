// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

/// <summary>The promises of a budget, played on a model guest: what is hot is fast, the cap is kept, little is moved.</summary>
public sealed class PlacementPlannerTests
{
    private const int Pages = 16_384;

    /// <summary>All memory touched once at the start, as a booting guest does: far above the budget.</summary>
    private static ModelGuest Booted(int pages = Pages, bool hugePages = false)
    {
        ModelGuest guest = new(pages, hugePages);
        guest.Touch(..);
        guest.Harvest();
        return guest;
    }

    [Fact]
    public void Hot_set_that_fits_is_fast_and_then_nothing_moves()
    {
        ModelGuest guest = Booted();
        Range hot = 6000..7000;
        guest.Run(6, budget: 4096, () => guest.Touch(hot));
        Assert.True(guest.ShareFast(hot) >= 0.99);
        Assert.True(guest.Fast <= 4096);
        Assert.True(guest.Fast >= 0.97 * 4096, "there is no need to demote below the budget");

        long moved = guest.Moved;
        guest.PeakFast = 0;
        guest.Run(10, budget: 4096, () => guest.Touch(hot));
        Assert.Equal(moved, guest.Moved);
        Assert.True(guest.PeakFast <= 4096);
    }

    [Fact]
    public void Hot_set_that_starts_in_the_slow_tier_is_promoted()
    {
        ModelGuest guest = Booted();
        guest.Residencies.Fill(Residency.Slow);
        guest.Run(3, budget: 4096, () => guest.Touch(6000..7000));
        Assert.Equal(1.0, guest.ShareFast(6000..7000));
        Assert.Equal(1000, guest.Fast);
    }

    [Fact]
    public void Hot_set_larger_than_the_budget_fills_it_with_hot_pages_only()
    {
        ModelGuest guest = Booted();
        guest.Run(8, budget: 4096, () => guest.Touch(2000..10_000));
        int hotFast = (int)(guest.ShareFast(2000..10_000) * 8000);
        Assert.InRange(guest.Fast, (int)(0.97 * 4096), 4096);
        Assert.True(hotFast >= 0.99 * guest.Fast, $"{hotFast} of {guest.Fast} fast pages are hot");

        long moved = guest.Moved;
        guest.Run(10, budget: 4096, () => guest.Touch(2000..10_000));
        Assert.Equal(moved, guest.Moved);
    }

    [Fact]
    public void Pages_touched_by_chance_do_not_swap_places_all_the_time()
    {
        ModelGuest guest = Booted();
        void TouchHalf()
        {
            for (int page = 2000; page < 10_000; page++)
            {
                if (guest.Random.Next(2) == 0)
                    guest.Touch(page);
            }
        }
        guest.Run(10, budget: 4096, TouchHalf);
        long moved = guest.Moved;
        guest.Run(10, budget: 4096, TouchHalf);
        Assert.True(guest.Moved - moved <= 10 * 0.05 * 4096, $"{guest.Moved - moved} moves among equals in ten rounds");
        Assert.True(guest.ShareFast(2000..10_000) * 8000 >= 0.99 * guest.Fast);
    }

    [Fact]
    public void Page_touched_once_a_round_is_hot_in_whichever_harvest_it_is_touched()
    {
        ModelGuest guest = Booted();
        int harvest = 0;
        void Access()
        {
            int quarter = harvest++ % 4;
            guest.Touch((6000 + (250 * quarter))..(6250 + (250 * quarter)));
        }
        guest.Run(8, budget: 2048, Access);
        Assert.Equal(1.0, guest.ShareFast(6000..7000));
        Assert.Equal(1000, guest.Plan.HotPages);
        Assert.Equal(1000, guest.Plan.HotFastPages);
    }

    [Fact]
    public void Shift_of_half_the_hot_set_is_followed_within_five_rounds()
    {
        ModelGuest guest = Booted();
        guest.Run(8, budget: 2048, () => guest.Touch(4000..5800));
        guest.PeakFast = 0;
        guest.Run(5, budget: 2048, () => guest.Touch(4900..6700));
        Assert.True(guest.ShareFast(4900..6700) >= 0.99);
        Assert.True(guest.PeakFast <= 2048);
    }

    [Fact]
    public void Halved_budget_is_met_in_the_next_plan_by_the_coldest()
    {
        ModelGuest guest = Booted();
        void Access()
        {
            guest.Touch(3000..4000);
        }
        guest.Run(6, budget: 4096, Access);
        guest.Run(1, budget: 2048, Access);
        Assert.InRange(guest.Fast, (int)(0.97 * 2048), 2048);
        Assert.Equal(1.0, guest.ShareFast(3000..4000));
    }

    [Fact]
    public void Budget_of_zero_leaves_nothing_fast()
    {
        ModelGuest guest = Booted();
        guest.Run(3, budget: 0, () => guest.Touch(3000..4000));
        Assert.Equal(0, guest.Fast);
    }

    [Fact]
    public void Move_limit_is_kept_and_the_budget_met_all_the_same()
    {
        ModelGuest guest = Booted();
        guest.Run(1, budget: 4096, () => guest.Touch(3000..4000), maxMoves: 1000);
        Assert.Equal(1000, guest.Plan.DemotedPages);
        Assert.Equal(0, guest.Plan.PromotedPages);
        guest.Run(12, budget: 4096, () => guest.Touch(3000..4000), maxMoves: 1000);
        Assert.True(guest.Fast <= 4096);
        Assert.Equal(1.0, guest.ShareFast(3000..4000));
    }

    [Fact]
    public void No_moves_allowed_still_reports_the_hot_set()
    {
        ModelGuest guest = Booted();
        guest.Run(6, budget: 4096, () => guest.Touch(3000..4000), maxMoves: 0);
        Assert.Equal(0, guest.Moved);
        Assert.Equal(1000, guest.Plan.HotPages);
        Assert.Equal(Pages, guest.Plan.FastPages);
    }

    [Fact]
    public void Steady_growth_never_overshoots_once_the_budget_was_met()
    {
        ModelGuest guest = new(Pages);
        int grown = 3000;
        guest.Touch(..grown);
        guest.Harvest();
        guest.EndRound(budget: 2048);
        guest.Run(2, budget: 2048, Grow);
        guest.PeakFast = 0;
        guest.Run(40, budget: 2048, Grow);
        Assert.InRange(grown, 6000, Pages);
        Assert.True(guest.PeakFast <= 2048, $"{guest.PeakFast} fast pages under a budget of 2048");
        Assert.True(guest.ShareFast(0..500) >= 0.99, "growth does not push out the hot set");

        guest.Run(12, budget: 2048, () => guest.Touch(..5000));
        Assert.True(guest.Fast >= 0.97 * 2048, "the headroom is given back when growth has stopped");

        void Grow()
        {
            guest.Touch(grown..(grown + 30));
            grown += 30;
            guest.Touch(0..500);
        }
    }

    [Fact]
    public void Second_burst_of_growth_finds_the_headroom_that_the_first_taught()
    {
        ModelGuest guest = new(Pages);
        guest.Touch(..2000);
        guest.Run(3, budget: 4096, () => guest.Touch(..500));
        int grown = 2000;
        Burst();
        guest.Run(1, budget: 4096, () => guest.Touch(..500));
        guest.PeakFast = 0;
        Burst();
        guest.Run(1, budget: 4096, () => guest.Touch(..500));
        Assert.True(guest.PeakFast <= 4096, $"{guest.PeakFast} fast pages under a budget of 4096");

        void Burst()
        {
            guest.Touch(grown..(grown + 1500));
            grown += 1500;
        }
    }

    [Fact]
    public void Stream_over_cold_memory_is_soon_known_as_one_and_disturbs_nothing()
    {
        ModelGuest guest = Booted();
        guest.Run(6, budget: 2048, () => guest.Touch(0..1000));
        int at = 4000;
        void Stream(int rounds) => guest.Run(rounds, budget: 2048, () =>
        {
            guest.Touch(0..1000);
            guest.Touch(at..(at + 300));
            at += 300;
        });
        // What it touches first may be in use from now on, and idle pages are in DRAM: some take their places.
        long before = guest.Moved;
        Stream(rounds: 5);
        Assert.InRange(guest.Moved - before, 0, 800);
        long moved = guest.Moved;
        Stream(rounds: 5);
        Assert.InRange(guest.Moved - moved, 0, 100);
        Assert.Equal(1.0, guest.ShareFast(0..1000));
    }

    [Fact]
    public void Pages_that_are_about_as_busy_are_not_swapped_for_each_other()
    {
        ModelGuest guest = Booted();
        void Busy()
        {
            for (int page = 0; page < 3000; page++)
            {
                if (guest.Random.Next(100) < 85)
                    guest.Touch(page);
            }
        }
        guest.Run(10, budget: 1000, Busy);
        long moved = guest.Moved;
        guest.Run(20, budget: 1000, Busy);
        Assert.InRange(guest.Moved - moved, 0, 200);
    }

    [Fact]
    public void Never_accessed_pages_go_first()
    {
        ModelGuest guest = new(Pages);
        guest.Residencies[..2000].Fill(Residency.Fast);
        guest.Touch(1000..2000);
        guest.Run(1, budget: 1000, () => { });
        guest.Run(3, budget: 1000, () => guest.Touch(1500));
        Assert.Equal(0.0, guest.ShareFast(0..1000));
        Assert.True(guest.ShareFast(1000..2000) >= 0.97);
    }

    [Fact]
    public void Pause_changes_no_rank()
    {
        ModelGuest guest = Booted();
        guest.Run(8, budget: 1024, () =>
        {
            guest.Touch(3000..3900);
            if (guest.Random.Next(2) == 0)
                guest.Touch(5000..9000);
        });
        byte[] before = guest.Planner.Heat.ToArray();
        long moved = guest.Moved;
        guest.Run(50, budget: 1024, () => { });
        Assert.Equal(before, guest.Planner.Heat);
        Assert.Equal(moved, guest.Moved);
    }

    [Fact]
    public void Huge_pages_move_whole_and_hot_ones_are_fast()
    {
        ModelGuest guest = Booted(64 * 512, hugePages: true);
        guest.Run(6, budget: 16 * 512, () =>
        {
            for (int block = 40; block < 50; block++)
                guest.Touch(block * 512);
        });
        Assert.Equal(1.0, guest.ShareFast((40 * 512)..(50 * 512)));
        Assert.InRange(guest.Fast, 15 * 512, 16 * 512);
        Assert.Equal(10 * 512, guest.Plan.HotPages);
    }

    [Fact]
    public void Fully_populated_guest_on_huge_pages_fills_its_budget_to_the_last_one()
    {
        ModelGuest guest = Booted(64 * 512, hugePages: true);
        guest.Run(6, budget: 8 * 512, () =>
        {
            for (int block = 10; block < 40; block++)
                guest.Touch(block * 512);
        });
        Assert.Equal(8 * 512, guest.Fast);
    }

    [Fact]
    public void Huge_page_that_does_not_fit_stays_and_small_ones_take_the_room()
    {
        ModelGuest guest = new(4 * 512);
        guest.Sizes[0] = MappingSize.Size2M;
        guest.Touch(..);
        guest.Harvest();
        guest.Residencies.Fill(Residency.Slow);
        guest.Run(4, budget: 300, () =>
        {
            guest.Touch(0);
            guest.Touch(600..700);
        });
        Assert.Equal(0.0, guest.ShareFast(0..512));
        Assert.Equal(1.0, guest.ShareFast(600..700));
    }

    [Fact]
    public void Split_and_collapsed_mappings_keep_their_heat()
    {
        ModelGuest guest = Booted(64 * 512, hugePages: true);
        guest.Run(6, budget: 16 * 512, () => guest.Touch(50 * 512));
        guest.Sizes[50] = MappingSize.Size4K;
        guest.Run(6, budget: 16 * 512, () => guest.Touch((50 * 512)..((50 * 512) + 100)));
        Assert.Equal(1.0, guest.ShareFast((50 * 512)..((50 * 512) + 100)));
        Assert.Equal(100, guest.Plan.HotPages);
        guest.Residencies.Slice(50 * 512, 512).Fill(Residency.Slow);
        guest.Sizes[50] = MappingSize.Size2M;
        guest.Run(1, budget: 16 * 512, () => guest.Touch(50 * 512));
        Assert.Equal(1.0, guest.ShareFast((50 * 512)..(51 * 512)));
    }

    [Fact]
    public void Mapping_of_which_nothing_is_present_keeps_its_last_known_size()
    {
        ModelGuest guest = Booted(8 * 512, hugePages: true);
        guest.Planner.Observe(new ulong[8 * 8], new MappingSize[8]);
        guest.EndRound(budget: 1024);
        Assert.All(guest.Plan.Demotions.ToArray(), run => Assert.True(run.IsBlock));
        Assert.Equal(1024, guest.Fast);
    }

    [Theory]
    [InlineData(MappingSize.Size1G)]
    [InlineData(MappingSize.Size4K)]
    public void Immovable_pages_are_counted_but_never_planned(MappingSize size)
    {
        ModelGuest guest = Booted(1024 * 8);
        byte flag = size == MappingSize.Size1G ? (byte)0 : Residency.Immovable;
        guest.Residencies[..1024].Fill((byte)(Residency.Fast | flag));
        guest.Sizes[..2].Fill(size);
        guest.Run(4, budget: 2048, () => guest.Touch(5000..6000));
        Assert.Equal(1.0, guest.Residencies[..1024].Count((byte)(Residency.Fast | flag)) / 1024.0);
        Assert.True(guest.Fast <= 2048);
        Assert.Equal(1.0, guest.ShareFast(5000..6000));
    }

    [Fact]
    public void Page_that_went_away_comes_back_without_a_past()
    {
        ModelGuest guest = Booted();
        guest.Run(6, budget: 4096, () => guest.Touch(3000..4000));
        guest.Residencies[3000..4000].Fill(Residency.Absent);
        guest.Run(1, budget: 4096, () => guest.Touch(0));
        Assert.Equal(1000, guest.Plan.AbsentPages);
        Assert.False(guest.Planner.Heat[3000..4000].ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void Predicted_share_is_the_share_that_follows()
    {
        ModelGuest guest = Booted();
        guest.Run(8, budget: 2048, () => guest.Touch(3000..7000));
        double predicted = guest.Plan.PlannedFastShare;
        guest.Run(1, budget: 2048, () => guest.Touch(3000..7000));
        Assert.Equal(guest.ShareFast(3000..7000), predicted, 0.03);
        Assert.Equal(predicted, guest.Plan.FastShare, 0.03);
    }

    [Fact]
    public void First_round_promotes_only_what_it_has_shown_to_go_on()
    {
        ModelGuest guest = new(8192);
        guest.Residencies.Fill(Residency.Slow);
        for (int harvest = 0; harvest < 4; harvest++)
        {
            guest.Touch(1000..1200);
            // Accessed once, the last part of it just now: nobody knows whether it goes on.
            guest.Touch((2000 + (harvest * 100))..(2100 + (harvest * 100)));
            guest.Harvest();
        }
        guest.EndRound(budget: 2048);
        Assert.Equal(1, guest.ShareFast(1000..1200));
        Assert.Equal(200, guest.Fast);

        // Without quarters nothing can be shown.
        ModelGuest coarse = new(8192);
        coarse.Residencies.Fill(Residency.Slow);
        coarse.Touch(1000..1200);
        coarse.Harvest();
        coarse.EndRound(budget: 2048);
        Assert.Equal(0, coarse.Fast);
    }

    [Fact]
    public void Guest_is_expected_to_touch_new_pages_at_its_pace_however_few_are_left()
    {
        const int core = 400;
        const int fresh = 200;
        ModelGuest guest = new(8192);
        guest.Residencies.Fill(Residency.Slow);
        int[] order = [.. Enumerable.Range(core, 8192 - core)];
        guest.Random.Shuffle(order);
        int round = 0;
        // Core and new pages are each accessed once a round, so that they weigh the same.
        void Access(int harvest)
        {
            foreach (int page in order.AsSpan((round * fresh) + (harvest * fresh / 4), fresh / 4))
                guest.Touch(page);
            guest.Touch((harvest * core / 4)..((harvest + 1) * core / 4));
        }
        for (; round < (8192 - core) / fresh; round++)
        {
            for (int harvest = 0; harvest < 4; harvest++)
            {
                Access(harvest);
                guest.Harvest();
            }
            guest.EndRound(budget: 1024);
            // When only one round's worth of pages is left, all of them are expected.
            if ((round + 2) * fresh <= 8192 - core)
                continue;
            DramCurve curve = guest.Planner.Curve(TimeSpan.FromSeconds(1))!;
            Assert.True(curve.Error < 0.04, $"error {curve.Error}");
            Assert.Equal((double)fresh / (core + fresh), curve.SlowShare(core), 0.1);
            return;
        }
        Assert.Fail("no round was looked at");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(511)]
    [InlineData(-512)]
    public void Odd_sizes_are_refused(int pages) =>
        Assert.Contains("multiple of 512", Assert.Throws<ArgumentOutOfRangeException>(() => new PlacementPlanner(pages)).Message,
            StringComparison.Ordinal);

    [Fact]
    public void Spans_of_the_wrong_length_are_refused_by_name()
    {
        PlacementPlanner planner = new(512);
        ArgumentException accessed = Assert.Throws<ArgumentException>(() => planner.Observe(new ulong[7], new MappingSize[1]));
        Assert.Contains("accessed has 7 elements; this domain needs 8", accessed.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("sizes", () => planner.Observe(new ulong[8], new MappingSize[2]));
        Assert.Throws<ArgumentException>("residency", () => planner.EndRound(new byte[511], 0, 0, new MovePlan()));
        Assert.Throws<ArgumentOutOfRangeException>("budgetPages", () => planner.EndRound(new byte[512], -1, 0, new MovePlan()));
        Assert.Throws<ArgumentOutOfRangeException>("maxMoves", () => planner.EndRound(new byte[512], 0, -1, new MovePlan()));
    }
}
