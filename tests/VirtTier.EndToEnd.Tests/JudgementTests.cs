// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Pictures;
using VirtTier.Demo;

namespace VirtTier.EndToEnd.Tests;

/// <summary>What the demo judges by.</summary>
public sealed class JudgementTests
{
    private readonly BudgetWatch _watch = new();

    [Fact]
    public void A_reading_above_the_budget_counts_only_once_the_budget_was_met()
    {
        _watch.Begin(7, 100);
        Take(7, 140);
        Take(7, 100);
        Take(7, 99);
        Assert.Equal((true, "0 of 2 readings above the budget"), _watch.Verdict(7));

        Take(7, 103);
        Assert.Equal((false, "1 of 3 readings above the budget, by up to 3 pages"), _watch.Verdict(7));
    }

    [Fact]
    public void A_budget_that_was_never_met_is_not_held()
    {
        _watch.Begin(7, 100);
        Take(7, 140);
        Assert.False(_watch.Verdict(7).Held);
    }

    [Fact]
    public void A_new_budget_is_to_be_met_first_and_what_was_seen_before_stays()
    {
        _watch.Begin(7, 100);
        Take(7, 90);
        Take(7, 101);
        _watch.Begin(7, 50);
        Take(7, 60);
        Take(7, 50);
        Assert.Equal((false, "1 of 3 readings above the budget, by up to 1 pages"), _watch.Verdict(7));
    }

    [Fact]
    public void Placement_counts_hot_frames_by_where_they_are()
    {
        byte[] nodes = [0, 1, 0, 0xFF, 0, 1];
        Placement placement = Placement.Of(nodes, new HashSet<int> { 0, 1, 2, 3 });
        Assert.Equal(new Placement(Dram: 3, Slow: 2, Hot: 4, HotInDram: 2), placement);
        Assert.Equal(0.5, placement.HotShare);
    }

    [Fact]
    public void A_shift_is_followed_when_its_new_hot_set_is_back_within_five_rounds()
    {
        Assert.Equal((true, "0.57 in round 1, 0.94 in round 3, 0.95 in round 5"),
            ShiftWatch.Judge(10, [(0.57, 10), (0.94, 12), (0.95, 14), (1, 16)]));
        Assert.Equal((false, "0.57 in round 1, 0.94 in round 5, 1.00 in round 6"),
            ShiftWatch.Judge(10, [(0.57, 10), (0.94, 14), (1, 15)]));
        Assert.False(ShiftWatch.Judge(10, [(0.57, 10), (0.94, 14)]).Followed);
    }

    [Fact]
    public void A_shift_that_was_there_before_it_is_looked_for_shows_nothing()
    {
        Assert.False(ShiftWatch.Judge(10, [(0.96, 10), (1, 11)]).Followed);
        Assert.False(ShiftWatch.Judge(10, []).Followed);
    }

    [Fact]
    public void Sampled_frames_are_read_from_what_the_tool_prints() =>
        Assert.Equal([0x1a2, 1], Scenario.FramesOf("12:00:01.250  gfn 0x1a2  rw-\n12:00:01.251  gfn 0x1  r--\n"));

    [Theory]
    [InlineData("<<>>", true)]
    [InlineData("?<.?.>", true)]  // filled its memory; looked at by no harvest; moved on
    [InlineData("<><<<<<<<<<<<<>>>", true)] // filled it for long
    [InlineData("<<<<<><<<<<<<<>>>", false)]
    [InlineData("<<", false)]    // it has not moved on
    [InlineData(">>", false)]    // or had before
    [InlineData("><", false)]
    [InlineData("<><>", false)]
    [InlineData("<?<", false)]
    [InlineData("..", false)]
    public void A_heat_map_shows_that_a_hot_set_moved_on_if_the_old_one_comes_before_the_new(string columns, bool isShown)
    {
        // Four rows of two pages each; page 1 and 3 were hot, 3 and 5 are: row 0 is of the old set alone and row 2 of the new.
        byte[] cells = [.. columns.SelectMany(column => column switch
        {
            '<' => new byte[] { 128, 128, 1, 1 },
            '>' => [2, 128, 128, 1],
            '?' => [128, 128, 128, 1],
            _ => [0, 0, 0, 0],
        })];
        DomainHeat heat = new("plain", Guid.Empty, DateTimeOffset.UnixEpoch, 5, 8192, [0, 8192, 16384, 24576], cells);
        (bool judged, string detail) = HeatMapWatch.Judge(heat, new HashSet<int> { 1, 3 }, new HashSet<int> { 3, 5 });
        Assert.True(judged == isShown, detail);
    }

    private void Take(int pid, int dram) =>
        _watch.Take($$$"""{"time":1.000,"pid":{{{pid}}},"nodes":{"0":{{{dram}}},"1":5}}""");
}
