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
}
