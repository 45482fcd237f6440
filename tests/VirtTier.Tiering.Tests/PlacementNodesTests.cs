// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Tiering.Tests;

/// <summary>What moves within a tier: hot pages to another node of it, cold ones to make room.</summary>
public sealed class PlacementNodesTests
{
    private const int Pages = 8192;
    private readonly List<PageRun> _runs = [];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Hot_pages_that_are_away_are_picked_and_no_others(bool hugePages)
    {
        ModelGuest guest = Settled(hugePages);
        byte[] away = new byte[Pages];
        away.AsSpan(1536, 4096).Fill(1);

        Assert.Equal(512, guest.Planner.PickHot(away, [0, 0.5], Pages, _runs));
        Assert.Equal(Enumerable.Range(1536, 512), PagesOf(_runs).Order());
        Assert.Equal(hugePages, _runs[0].IsBlock);
        // The same hot pages, not away.
        Assert.Equal(0, guest.Planner.PickHot(new byte[Pages], [0, 0.5], Pages, _runs));
        Assert.Empty(_runs);
    }

    [Fact]
    public void What_gains_too_little_stays_and_is_counted_all_the_same()
    {
        ModelGuest guest = Settled();
        byte[] away = new byte[Pages];
        away.AsSpan(1536, 4096).Fill(1);
        guest.Planner.MoveCost = 4;
        Assert.Equal(512, guest.Planner.PickHot(away, [0, 0.01], Pages, _runs));
        Assert.Empty(_runs);
        Assert.Equal(0, guest.Planner.PickHot(away, [0, 0], Pages, _runs)); // of no gain: not away
    }

    [Fact]
    public void No_more_is_picked_than_may_move_and_the_hottest_first()
    {
        ModelGuest guest = Settled();
        // From now on the second half of what is hot is accessed in every other harvest only.
        int harvest = 0;
        guest.Run(6, Pages, () => guest.Touch(harvest++ % 2 == 0 ? 1024..2048 : 1024..1536));
        byte[] away = new byte[Pages];
        away.AsSpan().Fill(1);
        guest.Planner.PickHot(away, [0, 1], 300, _runs);
        Assert.Equal(300, _runs.Count);
        Assert.All(_runs, run => Assert.InRange(run.First, 1024, 1535));
    }

    [Fact]
    public void The_coldest_make_room_and_only_where_it_is_lacking()
    {
        ModelGuest guest = Settled();
        byte[] kinds = new byte[Pages];
        kinds.AsSpan(0, 3000).Fill(2);
        kinds.AsSpan(3000).Fill(3);
        guest.Planner.PickCold(kinds, kind => kind == 2, 700, _runs);
        Assert.Equal(700, _runs.Count);
        Assert.All(_runs, run => Assert.True(run.First < 3000 && run.First is < 1024 or >= 2048, $"{run}"));
    }

    [Fact]
    public void Warm_pages_go_up_a_step_that_earns_twice_the_move_and_those_that_earn_one_do_not_make_room()
    {
        ModelGuest guest = Settled();
        Random random = new(1); // not in step with rounds
        guest.Run(40, Pages, () => guest.Touch(random.Next(12) == 0 ? 1024..3048 : 1024..2048));
        byte[] kinds = new byte[Pages];
        kinds.AsSpan(2048).Fill(1);

        guest.Planner.PickWarm(kinds, [0, 1], Pages, _runs);
        Assert.Equal(Enumerable.Range(2048, 1000), PagesOf(_runs).Order());
        guest.Planner.PickWarm(kinds, [0, 0.001], Pages, _runs);
        Assert.Empty(_runs);

        // Of a gain between, at which the way up is earned once but not twice, nothing moves either way.
        double gain = 1;
        do
        {
            gain *= 0.9;
            guest.Planner.PickWarm(kinds, [0, gain], Pages, _runs);
        }
        while (_runs.Count > 0);
        guest.Planner.PickCold(kinds, kind => kind == 1, Pages, _runs, gain);
        Assert.Equal(Enumerable.Range(3048, Pages - 3048), PagesOf(_runs).Order());
    }

    private static ModelGuest Settled(bool hugePages = false)
    {
        ModelGuest guest = new(Pages, hugePages);
        guest.Touch(..);
        guest.Harvest();
        guest.Run(6, Pages, () => guest.Touch(1024..2048));
        return guest;
    }

    private static IEnumerable<int> PagesOf(IEnumerable<PageRun> runs) =>
        runs.SelectMany(run => Enumerable.Range(run.First, run.Count));
}
