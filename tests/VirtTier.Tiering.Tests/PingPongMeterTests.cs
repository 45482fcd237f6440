// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

public sealed class PingPongMeterTests
{
    private const int Pages = 1 << 20;

    [Fact]
    public void Pages_that_never_come_back_are_no_ping_pong()
    {
        PingPongMeter meter = new(Pages);
        for (int round = 0; round < 40; round++)
            meter.Observe(Plan(demoted: Range(round * 100, 100), promoted: Range(500_000 + (round * 100), 100)));
        Assert.Equal(0, meter.Share);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(40_000)]
    public void Pages_that_go_to_and_fro_are_and_how_many_does_not_matter(int count)
    {
        PingPongMeter meter = new(Pages);
        for (int round = 0; round < 40; round++)
            meter.Observe(round % 2 == 0 ? Plan(Range(0, count), []) : Plan([], Range(0, count)));
        Assert.InRange(meter.Share, 0.9, 1);

        // Half of what moves from now on moves for good.
        int fresh = 2 * count;
        for (int round = 40; round < 120; round++, fresh = (fresh + count) % (Pages - count))
            meter.Observe(
                round % 2 == 0 ? Plan(Range(0, count), Range(fresh, count)) : Plan(Range(fresh, count), Range(0, count)));
        Assert.InRange(meter.Share, 0.4, 0.6);
    }

    [Fact]
    public void Large_units_count_as_their_pages_and_after_eight_rounds_it_is_no_return()
    {
        PingPongMeter meter = new(Pages);
        PageRun block = new(512, 512);
        meter.Observe(Plan([block], []));
        meter.Observe(Plan([new PageRun(4096, 1)], [block]));
        Assert.InRange(meter.Share, 0.5, 0.6);

        meter = new PingPongMeter(Pages);
        meter.Observe(Plan([block], []));
        for (int round = 0; round < PingPongMeter.Window; round++)
            meter.Observe(new MovePlan());
        meter.Observe(Plan([], [block]));
        Assert.Equal(0, meter.Share);
    }

    [Fact]
    public void What_leaves_within_a_round_and_returns_in_the_next_came_back()
    {
        PingPongMeter meter = new(Pages);
        for (int round = 0; round < 40; round++)
        {
            meter.Observe(Plan([], Range(0, 100)));
            meter.ObserveWithin(Plan(Range(0, 100), []));
        }
        Assert.InRange(meter.Share, 0.95, 1);
    }

    [Fact]
    public void Planner_shows_it_and_moves_less_while_it_is_high()
    {
        Assert.Equal(MoveMatcher.Cost(1, pingPong: 0), MoveMatcher.Cost(1, pingPong: 0.4));
        Assert.True(MoveMatcher.Cost(1, pingPong: 0.8) > 2 * MoveMatcher.Cost(1, pingPong: 0.4));
        ModelGuest guest = new(8192);
        guest.Touch(..);
        double most = 0;
        for (int phase = 0; phase < 6; phase++)
        {
            guest.Run(4, budget: 1024, () => guest.Touch(phase % 2 == 0 ? 0..900 : 4000..4900));
            most = Math.Max(most, guest.Plan.PingPongShare);
        }
        Assert.InRange(most, 0.2, 1);
    }

    private static PageRun[] Range(int first, int count) =>
        [.. Enumerable.Range(first, count).Select(page => new PageRun(page, 1))];

    private static MovePlan Plan(PageRun[] demoted, PageRun[] promoted)
    {
        MovePlan plan = new();
        foreach (PageRun run in demoted)
            plan.Demote(run, 0);
        foreach (PageRun run in promoted)
            plan.Promote(run, 0);
        return plan;
    }
}
