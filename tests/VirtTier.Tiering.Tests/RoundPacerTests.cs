// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

public sealed class RoundPacerTests
{
    private static readonly TimeSpan s_cheap = TimeSpan.FromMicroseconds(10);

    private static RoundPacer Pacer() => new(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(2), cpuShare: 0.01);

    [Fact]
    public void Rest_slows_down_to_the_longest_and_movement_speeds_up_again()
    {
        ModelGuest guest = new(8192);
        guest.Touch(..);
        RoundPacer pacer = Pacer();
        for (int round = 0; round < 40; round++)
        {
            guest.Run(1, budget: 2048, () => guest.Touch(0..1000));
            pacer.EndRound(guest.Plan, s_cheap);
        }
        Assert.Equal(TimeSpan.FromSeconds(2), pacer.Interval);
        for (int round = 0; round < 3; round++)
        {
            guest.Run(1, budget: 2048, () => guest.Touch(4000..5800));
            pacer.EndRound(guest.Plan, s_cheap);
        }
        Assert.True(pacer.Interval < TimeSpan.FromSeconds(2));
    }

    [Fact]
    public void Demotions_within_the_round_are_movement()
    {
        RoundPacer pacer = Pacer();
        pacer.EndRound(new MovePlan { FastPages = 1000, DemotedWithinPages = 3 }, s_cheap);
        Assert.Equal(TimeSpan.FromMilliseconds(100), pacer.Interval);
        pacer.EndRound(new MovePlan { FastPages = 1000 }, s_cheap);
        Assert.Equal(TimeSpan.FromMilliseconds(125), pacer.Interval);
    }

    [Fact]
    public void Cpu_share_has_precedence()
    {
        RoundPacer pacer = Pacer();
        pacer.EndRound(new MovePlan(), TimeSpan.FromMilliseconds(50));
        Assert.Equal(TimeSpan.FromSeconds(5), pacer.Interval);
    }

    [Fact]
    public void Some_rounds_may_be_passed_over_once_they_are_far_apart_and_share_the_cost_of_those_that_are_not()
    {
        RoundPacer pacer = Pacer();
        MovePlan rest = new() { FastPages = 1000 };
        while (pacer.Interval < TimeSpan.FromSeconds(2))
        {
            Assert.False(pacer.MayPass);
            pacer.EndRound(rest, s_cheap);
        }
        for (int passed = 0; passed < 7; passed++)
        {
            Assert.True(pacer.MayPass);
            pacer.Pass();
        }
        Assert.False(pacer.MayPass);
        Assert.Equal(TimeSpan.FromSeconds(16), pacer.WholeInterval);

        // A hundredth of a CPU pays for 160 ms in 16 s.
        pacer.EndRound(rest, TimeSpan.FromMilliseconds(160));
        Assert.Equal(TimeSpan.FromSeconds(2), pacer.Interval);
        Assert.Equal(TimeSpan.FromSeconds(2), pacer.WholeInterval);
        Assert.True(pacer.MayPass);
        pacer.EndRound(new MovePlan { FastPages = 1000, DemotedWithinPages = 21 }, s_cheap);
        Assert.False(pacer.MayPass);
    }

    [Fact]
    public void Rounds_that_are_far_apart_for_what_they_cost_are_passed_over_only_in_rest_and_in_the_time_of_others()
    {
        RoundPacer pacer = Pacer();
        // A hundredth of a CPU pays for it in 5 s, and in 20.
        pacer.EndRound(new MovePlan { FastPages = 1000, DemotedWithinPages = 500 }, TimeSpan.FromMilliseconds(50));
        Assert.Equal(TimeSpan.FromSeconds(5), pacer.Interval);
        Assert.False(pacer.MayPass);
        pacer.EndRound(new MovePlan { FastPages = 1000 }, TimeSpan.FromMilliseconds(50));
        for (int passed = 0; passed < 2; passed++)
        {
            Assert.True(pacer.MayPass);
            pacer.Pass();
        }
        Assert.False(pacer.MayPass); // 15 s since the last whole one
        pacer.EndRound(new MovePlan { FastPages = 1000 }, TimeSpan.FromMilliseconds(600));
        Assert.Equal(TimeSpan.FromSeconds(20), pacer.Interval);
        Assert.False(pacer.MayPass);
    }

    [Theory]
    [InlineData(1, 1000, true)]
    [InlineData(2, 1000, false)]
    [InlineData(0, 0, true)]
    [InlineData(1, 0, false)]
    public void Rest_is_less_than_a_five_hundredth_of_the_fast_pages(long pages, long fast, bool isRest) =>
        Assert.Equal(isRest, RoundPacer.IsRest(pages, fast));

    [Fact]
    public void Nonsense_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>("shortest", () => new RoundPacer(TimeSpan.Zero, TimeSpan.FromSeconds(1), 0.1));
        Assert.Throws<ArgumentOutOfRangeException>(
            "longest", () => new RoundPacer(TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(1), 0.1));
        Assert.Throws<ArgumentOutOfRangeException>("cpuShare", () => new RoundPacer(s_cheap, s_cheap, 1.1));
    }
}
