// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

/// <summary>Room for pages that are born, kept from round to round or from harvest to harvest.</summary>
public sealed class HeadroomTests
{
    private const int Pages = 16_384;
    private const int Budget = 2048;
    private const int Hot = 500;
    private const int BornPerHarvest = 60;

    /// <summary>A guest that touches a hot set, and new pages at a steady pace; far above its budget at first.</summary>
    private static (ModelGuest Guest, Action Grow) Growing(double spacing)
    {
        ModelGuest guest = new(Pages);
        guest.Planner.DecisionSpacing = spacing;
        int grown = 3000;
        guest.Touch(..grown);
        guest.Harvest();
        guest.EndRound(Budget);
        return (guest, () =>
        {
            guest.Touch(grown..(grown + BornPerHarvest));
            grown += BornPerHarvest;
            guest.Touch(..Hot);
        });
    }

    [Fact]
    public void Kept_by_harvests_it_is_smaller_and_the_budget_is_kept_all_the_same()
    {
        (ModelGuest guest, Action grow) = Growing(spacing: 0.25);
        guest.Run(3, Budget, grow);
        guest.PeakFast = 0;
        guest.Run(30, Budget, grow);

        Assert.InRange(guest.PeakFast, Budget - BornPerHarvest, Budget);
        Assert.InRange(guest.Plan.HeadroomPages, BornPerHarvest, 2 * BornPerHarvest);
        Assert.Equal(1, guest.ShareFast(..Hot));

        (ModelGuest other, grow) = Growing(spacing: 1);
        other.Run(33, Budget, grow);
        Assert.True(other.Plan.HeadroomPages > 2.5 * guest.Plan.HeadroomPages,
            $"{other.Plan.HeadroomPages} pages of headroom for a round");
    }

    [Fact]
    public void A_guest_that_grows_has_its_moves_earn_less_and_one_that_stopped_soon_does_not()
    {
        Headroom headroom = new();
        Assert.Equal(0, headroom.Growth(Budget));
        headroom.Observe(Budget / 128);
        Assert.Equal(0.5, headroom.Growth(Budget));
        headroom.Observe(Budget / 8);
        Assert.Equal(1, headroom.Growth(Budget));
        for (int round = 0; round < 16; round++)
            headroom.Observe(0);
        Assert.InRange(headroom.Growth(Budget), 0, 0.01);

        Assert.Equal(1.5 * 2, MoveMatcher.Cost(moveCost: 2, pingPong: 0));
        Assert.Equal(1.25 * 2, MoveMatcher.Cost(moveCost: 2, pingPong: 0, growth: 1), precision: 9);
    }

    [Fact]
    public void Within_a_round_it_is_for_as_many_as_in_the_last_interval_or_as_usual()
    {
        Headroom headroom = new();
        Assert.Equal(Floor(0.25), Within(0.25));
        for (int harvest = 0; harvest < 40; harvest++)
            headroom.ObserveWithin(100, share: 0.25);
        Assert.Equal(125 + Floor(0.25), Within(0.25));

        headroom.ObserveWithin(400, share: 0.25);
        Assert.Equal(500 + Floor(0.25), Within(0.25));
        headroom.ObserveWithin(0, share: 0.25);
        Assert.InRange(Within(0.25), 125 + Floor(0.25), 160);
        for (int harvest = 0; harvest < 100; harvest++)
            headroom.ObserveWithin(0, share: 0.25);
        Assert.Equal(Floor(0.25), Within(0.25));

        headroom.ObserveWithin(3 * Budget, share: 0.25);
        Assert.Equal((Budget / 4) + Floor(0.25), Within(0.25));
        Assert.Equal(7, headroom.Pages(Budget, absent: 7, 0.25));

        long Within(double share) => headroom.Pages(Budget, absent: Pages, share);
    }

    [Fact]
    public void Before_a_rest_it_is_for_as_many_as_a_rest_usually_brings()
    {
        Headroom headroom = new();
        for (int round = 0; round < 20; round++)
        {
            headroom.ObserveWithin(70, share: 0.7);
            for (int harvest = 1; harvest < 4; harvest++)
                headroom.ObserveWithin(10, share: 0.1);
        }
        Assert.InRange(headroom.Pages(Budget, Pages, 0.7), 87 + Floor(0.7), 88 + Floor(0.7));
        Assert.InRange(headroom.Pages(Budget, Pages, 0.1), 12 + Floor(0.1), 13 + Floor(0.1));

        // A burst that a rest brought goes on at its pace, not at once.
        headroom.ObserveWithin(700, share: 0.7);
        Assert.Equal(125 + Floor(0.1), headroom.Pages(Budget, Pages, 0.1));
    }

    [Fact]
    public void Births_that_only_the_rounds_end_shows_count_too()
    {
        Headroom headroom = new();
        headroom.ObserveWithin(10, share: 0.25);
        headroom.CorrectWithin(90);
        Assert.Equal(125 + Floor(0.25), headroom.Pages(Budget, Pages, 0.25));
        headroom.CorrectWithin(-500);
        Assert.Equal(Floor(0.25), headroom.Pages(Budget, Pages, 0.25));
    }

    [Fact]
    public void A_burst_has_more_room_made_already_within_the_round()
    {
        (ModelGuest guest, Action grow) = Growing(spacing: 0.25);
        guest.Run(8, Budget, grow);
        grow();
        guest.Harvest();
        guest.RestoreHeadroom();
        Assert.InRange(guest.Plan.HeadroomPages, BornPerHarvest, 2 * BornPerHarvest);
        for (int harvest = 0; harvest < 3; harvest++)
            grow();
        guest.Harvest();
        guest.RestoreHeadroom();
        Assert.InRange(guest.Plan.HeadroomPages, 3 * BornPerHarvest, 4 * BornPerHarvest);
    }

    [Theory]
    [InlineData(0.25)]
    [InlineData(1)]
    public void A_guest_that_stands_still_keeps_the_room_that_it_needs_when_it_goes_on(double spacing)
    {
        (ModelGuest guest, Action grow) = Growing(spacing);
        guest.Run(8, Budget, grow);
        long before = guest.Plan.HeadroomPages;
        guest.Run(20, Budget, () => { });
        Assert.Equal(before, guest.Plan.HeadroomPages);
        Assert.InRange(before, BornPerHarvest, Budget);
    }

    private static long Floor(double share) => (long)(Budget / 128 * share);

    [Fact]
    public void Within_a_round_no_more_is_demoted_than_was_born()
    {
        (ModelGuest guest, Action grow) = Growing(spacing: 0.25);
        guest.Run(4, Budget, grow);
        int fast = guest.Fast;
        long moved = guest.Moved;
        for (int harvest = 0; harvest < 3; harvest++)
        {
            grow();
            guest.Harvest();
            guest.RestoreHeadroom();
            Assert.Equal(fast, guest.Fast);
            Assert.Equal(BornPerHarvest, guest.Plan.DemotedPages);
        }
        grow();
        guest.Harvest();
        guest.EndRound(Budget);
        Assert.Equal(3 * BornPerHarvest, guest.Plan.DemotedWithinPages);
        Assert.Equal(moved + (3 * BornPerHarvest) + guest.Plan.DemotedPages + guest.Plan.PromotedPages, guest.Moved);

        guest.RestoreHeadroom();
        Assert.Equal(0, guest.Plan.DemotedPages);
        guest.EndRound(Budget);
        Assert.Equal(0, guest.Plan.DemotedWithinPages);
    }

    [Fact]
    public void What_was_accessed_since_the_last_round_is_passed_over()
    {
        (ModelGuest guest, Action grow) = Growing(spacing: 0.25);
        guest.Run(4, Budget, grow);
        // Which pages are next to go is seen from a planner in the same state.
        (ModelGuest twin, Action growTwin) = Growing(spacing: 0.25);
        twin.Run(4, Budget, growTwin);
        growTwin();
        twin.Harvest();
        twin.RestoreHeadroom();
        PageRun[] next = twin.Plan.Demotions.ToArray();
        Assert.Equal(BornPerHarvest, next.Length);

        grow();
        foreach (PageRun run in next.AsSpan(0, 20))
            guest.Touch(run.First);
        guest.Harvest();
        guest.RestoreHeadroom();
        Assert.Equal(BornPerHarvest, guest.Plan.DemotedPages);
        Assert.Equal(next[20..], guest.Plan.Demotions.ToArray()[..^20]);
    }

    [Fact]
    public void Blocks_that_were_broken_up_or_joined_since_are_passed_over()
    {
        ModelGuest guest = new(64 * 512, hugePages: true);
        guest.Planner.DecisionSpacing = 0.25;
        int block = 20;
        guest.Touch(..(block * 512));
        guest.Harvest();
        guest.EndRound(8 * 512);
        guest.Run(3, 8 * 512, Grow);
        int[] fast = [.. Enumerable.Range(0, block).Where(b => guest.ShareFast((b * 512)..((b * 512) + 1)) == 1)];
        foreach (int one in fast)
            guest.Sizes[one] = MappingSize.Size4K;
        Grow();
        guest.Harvest();
        Assert.Equal(512, guest.Planner.BornPages);
        guest.RestoreHeadroom();
        Assert.Equal(0, guest.Plan.DemotedPages);

        void Grow()
        {
            guest.Touch(block++ * 512);
            guest.Touch(0);
        }
    }

    [Fact]
    public void The_move_limit_is_the_rounds()
    {
        (ModelGuest guest, Action grow) = Growing(spacing: 0.25);
        guest.Run(4, Budget, grow);
        for (int harvest = 0; harvest < 4; harvest++)
        {
            grow();
            guest.Harvest();
        }
        // What is born in four harvests has to go, and then moves are left for a harvest and a half.
        const long most = (4 * BornPerHarvest) + (3 * BornPerHarvest / 2);
        guest.EndRound(Budget, most);
        long left = most - guest.Plan.DemotedPages - guest.Plan.PromotedPages;
        Assert.InRange(left, BornPerHarvest + 1, (2 * BornPerHarvest) - 1);
        long demoted = 0;
        for (int harvest = 0; harvest < 3; harvest++)
        {
            grow();
            guest.Harvest();
            guest.RestoreHeadroom();
            demoted += guest.Plan.DemotedPages;
        }
        Assert.Equal(left, demoted);
    }

    [Fact]
    public void Before_a_round_has_ended_nothing_is_known_to_be_born_and_nothing_demoted()
    {
        ModelGuest guest = new(Pages);
        guest.Planner.DecisionSpacing = 0.25;
        guest.Touch(..4000);
        guest.Harvest();
        Assert.Equal(0, guest.Planner.BornPages);
        guest.RestoreHeadroom();
        Assert.Equal(0, guest.Plan.DemotedPages);
        guest.EndRound(Pages);
        Assert.Equal(0, guest.Planner.BornPages);
    }

    [Fact]
    public void Born_pages_are_those_first_accessed_in_any_of_the_rounds_harvests()
    {
        ModelGuest guest = new(Pages);
        guest.Touch(..4000);
        guest.Harvest();
        guest.EndRound(Pages);
        guest.Touch(3900..4100);
        guest.Harvest();
        Assert.Equal(100, guest.Planner.BornPages);
        guest.Touch(4000..4103);
        guest.Touch(9000);
        guest.Harvest();
        Assert.Equal(104, guest.Planner.BornPages);
        guest.EndRound(Pages);
        Assert.Equal(104, guest.Plan.BornPages);
        Assert.Equal(0, guest.Planner.BornPages);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Memory_that_is_kept_apart_counts_nowhere_and_is_not_born_by_an_access(bool hugePages)
    {
        ModelGuest guest = new(Pages, hugePages);
        guest.Residencies[..1024].Fill(Residency.Apart);
        guest.Touch(1024..4096);
        guest.Harvest();
        guest.EndRound(Pages);
        for (int round = 0; round < 3; round++)
        {
            guest.Touch(..1024);
            int born = 4096 + (512 * round);
            guest.Touch(born..(born + 512));
            guest.Harvest();
            Assert.Equal(512, guest.Planner.BornPages);
            guest.EndRound(Pages);
            Assert.Equal((512, 3072L + (512 * (round + 1)), 0),
                (guest.Plan.BornPages, guest.Plan.FastPages, guest.Plan.SlowPages));
            Assert.Equal(Pages - 1024 - guest.Plan.FastPages, guest.Plan.AbsentPages);
        }
        guest.EndRound(0);
        Assert.All(guest.Plan.Demotions.ToArray(), run => Assert.InRange(run.First, 1024, Pages));

        guest.Residencies[..1024].Fill(Residency.Fast);
        guest.EndRound(Pages);
        Assert.Equal(0, guest.Plan.BornPages);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1.01)]
    [InlineData(double.NaN)]
    public void Decisions_are_apart_by_no_more_than_a_round(double spacing) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new PlacementPlanner(512) { DecisionSpacing = spacing });
}
