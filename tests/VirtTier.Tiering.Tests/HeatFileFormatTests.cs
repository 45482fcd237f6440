// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

public sealed class HeatFileFormatTests
{
    private const int Pages = 4096;

    private static PlacementPlanner Warm()
    {
        ModelGuest guest = new(Pages);
        guest.Touch(..);
        guest.Run(8, budget: 1024, () => guest.Touch(1000..1500));
        return guest.Planner;
    }

    [Fact]
    public void Restored_planner_knows_the_hot_set_at_once()
    {
        byte[] state = Warm().SaveState(layout: 42);
        Assert.True(state.Length < Pages, "mostly equal pages pack well");

        PlacementPlanner restored = new(Pages);
        Assert.Null(restored.RestoreState(state, layout: 42));
        MovePlan plan = new();
        byte[] residency = new byte[Pages];
        Array.Fill(residency, Residency.Slow);
        restored.EndRound(residency, budgetPages: 1024, maxMoves: long.MaxValue, plan);
        Assert.Equal(500, plan.HotPages);
        Assert.Equal(Enumerable.Range(1000, 500), plan.Promotions.ToArray().Select(r => r.First).Order());
        Assert.Equal(0, plan.BornPages);
    }

    [Fact]
    public void Pages_that_appeared_while_the_agent_was_away_count_as_new()
    {
        ModelGuest guest = new(Pages);
        guest.Touch(..3000);
        guest.Run(4, budget: 1024, () => guest.Touch(1000..1500));
        PlacementPlanner restored = new(Pages);
        Assert.Null(restored.RestoreState(guest.Planner.SaveState(layout: 42), layout: 42));

        byte[] residency = guest.Residencies.ToArray();
        residency.AsSpan(3000, 200).Fill(Residency.Fast);
        MovePlan plan = new();
        restored.EndRound(residency, budgetPages: 1024, maxMoves: 0, plan);
        Assert.Equal(200, plan.BornPages);
    }

    [Fact]
    public void Planner_of_another_layout_knows_the_pages_that_were_kept()
    {
        PlacementPlanner warm = Warm();
        PlacementPlanner planner = new(Pages + 512);
        planner.TakeOver(warm, [(0, 512, 512), (1024, 1536, Pages - 1024)]); // one block in front is new, and 512..1023 is gone

        MovePlan plan = new();
        byte[] residency = new byte[Pages + 512];
        Array.Fill(residency, Residency.Slow);
        planner.EndRound(residency, budgetPages: 1024, maxMoves: long.MaxValue, plan);
        Assert.Equal(warm.Rounds, planner.Rounds);
        Assert.Equal(Enumerable.Range(1024 + 512, 500 - 24), plan.Promotions.ToArray().Select(r => r.First).Order());
        Assert.False(planner.Heat[..512].ContainsAnyExcept((byte)0));
        Assert.False(planner.Heat[1024..1536].ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void Round_that_was_under_way_is_not_taken_over()
    {
        PlacementPlanner warm = Warm();
        MappingSize[] sizes = new MappingSize[Pages / 512];
        Array.Fill(sizes, MappingSize.Size4K);
        ulong[] accessed = new ulong[Pages / 64];
        accessed[3000 / 64] = 1UL << (3000 % 64);
        byte before = warm.Heat[3000];
        warm.Observe(accessed, sizes);

        PlacementPlanner planner = new(Pages);
        planner.TakeOver(warm, [(0, 0, Pages)]);
        accessed.AsSpan().Clear();
        accessed[0] = 1;
        planner.Observe(accessed, sizes);
        byte[] residency = new byte[Pages];
        Array.Fill(residency, Residency.Slow);
        planner.EndRound(residency, budgetPages: 1024, maxMoves: 0, new MovePlan());

        Assert.InRange(planner.Heat[3000], (byte)0, before);
        Assert.InRange(planner.Heat[0], before + 1, 255);
    }

    [Fact]
    public void State_that_does_not_fit_is_refused_with_a_reason_and_changes_nothing()
    {
        byte[] state = Warm().SaveState(layout: 42);
        PlacementPlanner planner = new(Pages);
        Assert.Contains("laid out otherwise", planner.RestoreState(state, layout: 43), StringComparison.Ordinal);
        Assert.Contains("no heat state", planner.RestoreState(state.AsSpan(0, 10), layout: 42), StringComparison.Ordinal);
        Assert.Contains($"it is of {Pages} pages", new PlacementPlanner(8192).RestoreState(state, layout: 42),
            StringComparison.Ordinal);
        byte[] otherVersion = [.. state];
        otherVersion[8]++;
        Assert.Contains("version 5", planner.RestoreState(otherVersion, layout: 42), StringComparison.Ordinal);
        for (int at = 20; at < state.Length; at += 7)
        {
            byte[] broken = [.. state];
            broken[at] ^= 1;
            Assert.Contains("checksum", planner.RestoreState(broken, layout: 42), StringComparison.Ordinal);
        }
        Assert.False(planner.Heat.ContainsAnyExcept((byte)0));
    }
}
