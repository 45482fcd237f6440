// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

/// <summary>What a round's quarters come to.</summary>
public sealed class PageStateTests
{
    [Theory]
    [InlineData(0b0000, 4, 0, false)]
    [InlineData(0b0001, 4, 1, false)]
    [InlineData(0b1000, 4, 1, true)]
    [InlineData(0b0110, 4, 2, false)]
    [InlineData(0b1010, 4, 2, true)]
    [InlineData(0b0111, 4, 3, false)]
    [InlineData(0b1110, 4, 3, true)]
    [InlineData(0b1111, 4, 4, true)]
    [InlineData(0b001, 3, 2, false)]
    [InlineData(0b01, 2, 2, false)]
    [InlineData(0b10, 2, 2, true)]
    [InlineData(0b1, 1, 4, true)]
    public void Outcome_tells_how_many_quarters_and_whether_the_last(int found, int quarters, int of4, bool last)
    {
        int outcome = PageState.Outcome((byte)(PageState.HitMask + 1 + found), quarters);
        Assert.Equal(of4, PageState.QuartersOf(outcome));
        Assert.Equal(last, PageState.InLastQuarter(outcome));
    }

    [Theory]
    [InlineData(4, "0123")]
    [InlineData(2, "01")]
    [InlineData(8, "00112233")]
    [InlineData(6, "001223")]
    [InlineData(4, "012333")]
    public void Harvests_are_spread_over_the_quarters_that_are_expected(int expected, string quarters) =>
        Assert.Equal(quarters, string.Concat(Enumerable.Range(0, quarters.Length).Select(h => PageState.QuarterOf(h, expected))));

    [Fact]
    public void What_was_in_use_at_the_end_of_a_round_is_believed_to_go_on_more_often()
    {
        for (int quarters = 1; quarters < PageState.Quarters; quarters++)
        {
            double Idle(int outcome) => ValuePrior.Chances[PageState.Combine(outcome, 8) * PageState.Outcomes];
            Assert.True(Idle(2 * quarters) < Idle((2 * quarters) - 1));
        }
    }

    [Fact]
    public void Heat_goes_to_the_share_of_quarters_that_find_a_page_accessed_from_above_and_below()
    {
        for (int quarters = 1; quarters <= PageState.Quarters; quarters++)
        {
            byte share = PageState.HeatOf((double)quarters / PageState.Quarters);
            Assert.InRange(After(0, rounds: 100, _ => quarters), share - 1, Math.Min(255, share + 1));
            Assert.InRange(After(255, rounds: 100, _ => quarters), share - 1, Math.Min(255, share + 1));
        }
        Assert.Equal(PageState.Levels - 1, LevelOf(After(0, rounds: 100, _ => PageState.Quarters)));
    }

    [Theory]
    [InlineData(5, 10)]
    [InlineData(8, 16)]
    [InlineData(10, 20)]
    public void Pages_accessed_every_so_many_rounds_are_at_another_level_than_those_half_as_often(int often, int seldom)
    {
        // Just before the next access, and as well just after it.
        foreach (int rounds in (int[])[(seldom * 10) - 1, seldom * 10])
        {
            int more = LevelOf(After(0, rounds, round => round % often == 0 ? 1 : 0));
            int less = LevelOf(After(0, rounds, round => round % seldom == 0 ? 1 : 0));
            Assert.True(more > less, $"level {more} every {often} rounds, {less} every {seldom}, after {rounds}");
        }
    }

    [Fact]
    public void A_page_that_was_ever_accessed_keeps_a_trace_of_heat_and_one_that_was_not_has_none()
    {
        Assert.Equal(1, After(PageState.HeatOf(0.01), rounds: 300, _ => 0));
        Assert.Equal(0, After(0, rounds: 300, _ => 0));
        Assert.Equal(0, PageState.HeatOf(0));
        Assert.Equal(0, PageState.ShareOf(0));
        for (int heat = 1; heat <= byte.MaxValue; heat++)
            Assert.Equal(heat, PageState.HeatOf(PageState.ShareOf((byte)heat)));
    }

    // The heat after so many rounds, of which each finds the page accessed in so many quarters.
    private static byte After(byte heat, int rounds, Func<int, int> quarters)
    {
        for (int round = 1; round <= rounds; round++)
            heat = PageState.NextHeat(heat, PageState.Outcome((byte)((1 << quarters(round)) - 1), PageState.Quarters));
        return heat;
    }

    private static int LevelOf(byte heat) => PageState.Of(heat, recency: 0, neighbourhood: 0) % PageState.Levels;
}
