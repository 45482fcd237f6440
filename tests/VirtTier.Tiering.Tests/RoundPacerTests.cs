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
    public void Nonsense_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>("shortest", () => new RoundPacer(TimeSpan.Zero, TimeSpan.FromSeconds(1), 0.1));
        Assert.Throws<ArgumentOutOfRangeException>(
            "longest", () => new RoundPacer(TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(1), 0.1));
        Assert.Throws<ArgumentOutOfRangeException>("cpuShare", () => new RoundPacer(s_cheap, s_cheap, 1.1));
    }
}
