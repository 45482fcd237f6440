// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

public sealed class MoveCostMeterTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    public void Unmeasured_cost_is_one_access()
    {
        MoveCostMeter meter = new();
        meter.Update(s_second, 100_000, 0);
        Assert.Equal((1, 0), (meter.Cost, meter.SecondsEach));
    }

    [Fact]
    public void Cost_grows_with_the_time_of_a_move_and_falls_with_the_worth_of_an_access()
    {
        MoveCostMeter meter = new();
        meter.ObservePages(1000, TimeSpan.FromMilliseconds(1));
        meter.Update(s_second, accesses: 100_000, 0);
        double usual = meter.Cost;
        meter.Update(s_second, accesses: 50_000, 0);
        Assert.Equal(usual / 2, meter.Cost, 6);
        meter.Update(2 * s_second, accesses: 100_000, 0);
        Assert.Equal(usual / 2, meter.Cost, 6);

        for (int i = 0; i < 200; i++)
            meter.ObservePages(1000, TimeSpan.FromMilliseconds(2));
        meter.Update(s_second, accesses: 100_000, 0);
        Assert.Equal(2 * usual, meter.Cost, 6);
    }

    [Fact]
    public void Large_mappings_count_with_their_own_time_by_their_share_of_the_memory()
    {
        MoveCostMeter meter = new();
        meter.ObserveBlocks(512, TimeSpan.FromMicroseconds(102.4));
        meter.Update(s_second, 100_000, blockShare: 0);
        Assert.Equal(0.2e-6, meter.SecondsEach, 9);
        meter.ObservePages(1000, TimeSpan.FromMilliseconds(2));
        meter.Update(s_second, 100_000, blockShare: 0.25);
        Assert.Equal(1.55e-6, meter.SecondsEach, 9);
    }

    [Fact]
    public void Access_is_worth_a_tenth_of_the_guests_time_and_a_move_at_least_a_quarter_of_one()
    {
        MoveCostMeter meter = new();
        meter.ObservePages(1000, TimeSpan.FromMilliseconds(1));
        meter.Update(s_second, accesses: 100_000, 0);
        Assert.Equal(1, meter.Cost, 6);
        meter.ObservePages(1000, TimeSpan.FromMilliseconds(2));
        meter.Update(s_second, accesses: 100_000, 0);
        Assert.Equal((0.9 + 2) / (0.9 + 1), meter.Cost, 6);
        meter.Update(s_second, accesses: 100, 0);
        Assert.Equal(0.25, meter.Cost);
    }

    [Fact]
    public void Rounds_that_move_a_few_pages_do_not_speak_for_one_that_moves_many()
    {
        MoveCostMeter meter = new();
        for (int i = 0; i < 50; i++)
            meter.ObservePages(5, TimeSpan.FromMilliseconds(20));
        meter.ObservePages(600, TimeSpan.FromMilliseconds(60));
        meter.Update(s_second, 100_000, 0);
        Assert.InRange(meter.SecondsEach, 100e-6, 400e-6);
    }

    [Fact]
    public void Idle_guest_and_absurd_times_do_not_move_it_beyond_reason()
    {
        MoveCostMeter meter = new();
        meter.ObservePages(1, s_second);
        meter.Update(s_second, 100_000, 0);
        Assert.Equal(4, meter.Cost);
        meter.Update(TimeSpan.Zero, 100_000, 0);
        meter.Update(s_second, 0, 0);
        Assert.Equal(4, meter.Cost);
    }
}
