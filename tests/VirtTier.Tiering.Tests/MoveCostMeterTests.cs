// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

public sealed class MoveCostMeterTests
{
    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    [Fact]
    public void Unmeasured_price_is_one_access()
    {
        MoveCostMeter price = new();
        price.Update(s_second, 100_000, 0);
        Assert.Equal((1, 0), (price.Cost, price.SecondsEach));
    }

    [Fact]
    public void Price_grows_with_the_time_of_a_move_and_falls_with_the_worth_of_an_access()
    {
        MoveCostMeter price = new();
        price.ObserveSmall(1000, TimeSpan.FromMilliseconds(1));
        price.Update(s_second, accesses: 100_000, 0);
        double usual = price.Cost;
        price.Update(s_second, accesses: 50_000, 0);
        Assert.Equal(usual / 2, price.Cost, 6);
        price.Update(2 * s_second, accesses: 100_000, 0);
        Assert.Equal(usual / 2, price.Cost, 6);

        for (int i = 0; i < 200; i++)
            price.ObserveSmall(1000, TimeSpan.FromMilliseconds(2));
        price.Update(s_second, accesses: 100_000, 0);
        Assert.Equal(2 * usual, price.Cost, 6);
    }

    [Fact]
    public void Large_mappings_count_with_their_own_time_by_their_share_of_the_memory()
    {
        MoveCostMeter price = new();
        price.ObserveLarge(512, TimeSpan.FromMicroseconds(102.4));
        price.Update(s_second, 100_000, largeShare: 0);
        Assert.Equal(0.2e-6, price.SecondsEach, 9);
        price.ObserveSmall(1000, TimeSpan.FromMilliseconds(2));
        price.Update(s_second, 100_000, largeShare: 0.25);
        Assert.Equal(1.55e-6, price.SecondsEach, 9);
    }

    [Fact]
    public void Access_is_worth_a_tenth_of_the_guests_time_and_a_move_at_least_a_quarter_of_one()
    {
        MoveCostMeter price = new();
        price.ObserveSmall(1000, TimeSpan.FromMilliseconds(1));
        price.Update(s_second, accesses: 100_000, 0);
        Assert.Equal(1, price.Cost, 6);
        price.ObserveSmall(1000, TimeSpan.FromMilliseconds(2));
        price.Update(s_second, accesses: 100_000, 0);
        Assert.Equal(1.1, price.Cost, 6);
        price.Update(s_second, accesses: 100, 0);
        Assert.Equal(0.25, price.Cost);
    }

    [Fact]
    public void Idle_guest_and_absurd_times_do_not_move_it_beyond_reason()
    {
        MoveCostMeter price = new();
        price.ObserveSmall(1, s_second);
        price.Update(s_second, 100_000, 0);
        Assert.Equal(4, price.Cost);
        price.Update(TimeSpan.Zero, 100_000, 0);
        price.Update(s_second, 0, 0);
        Assert.Equal(4, price.Cost);
    }
}
