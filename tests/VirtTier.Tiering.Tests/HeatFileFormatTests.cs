// SPDX-License-Identifier: Apache-2.0
using System.IO.Hashing;
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

public sealed class HeatFileFormatTests
{
    private const int Pages = 4096;
    private const int SampledPages = 1024;

    // Where the mappings' sizes begin, what there is for each block, and the model, in the contents of a guest with two blocks.
    private const int AtSizes = 12;
    private const int AtBlocks = AtSizes + 2 + (2 * SampledPages) + (SampledPages / 32);
    private const int AtModel = AtBlocks + (3 * 2) + (4 * 8);

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
        Assert.Contains("version 7", planner.RestoreState(otherVersion, layout: 42), StringComparison.Ordinal);
        for (int at = 20; at < state.Length; at += 7)
        {
            byte[] broken = [.. state];
            broken[at] ^= 1;
            Assert.Contains("checksum", planner.RestoreState(broken, layout: 42), StringComparison.Ordinal);
        }
        Assert.False(planner.Heat.ContainsAnyExcept((byte)0));
    }

    /// <summary>Whoever can write the file can make the checksum.</summary>
    [Fact]
    public void A_forged_state_is_taken_whole_or_not_at_all()
    {
        byte[] good = SavedState.Contents(Sampled().SaveState(layout: 42));
        byte[] untouched = new PlacementPlanner(SampledPages, sampled: true).SaveState(layout: 42);
        // The model, four bytes a number, is most of it, and is not to have all the changes.
        Random random = new(1);
        int refused = 0, taken = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[] forged = [.. good];
            for (int change = random.Next(3); change >= 0; change--)
            {
                int at = random.Next(2) == 0 ? random.Next(AtModel) : random.Next(AtModel, good.Length);
                forged[at] = random.Next(3) switch { 0 => 0xff, 1 => 0x7f, _ => (byte)random.Next(256) };
            }
            if (random.Next(10) == 0)
                forged = forged[..random.Next(forged.Length)];
            else if (random.Next(10) == 0)
                forged = [.. forged, 0];

            PlacementPlanner planner = new(SampledPages, sampled: true);
            string? refusal = planner.RestoreState(HeatFileFormat.Pack(42, writer => writer.Write(forged)), layout: 42);
            if (refusal is null)
            {
                Play(planner);
                taken++;
                continue;
            }
            Assert.Equal(untouched, planner.SaveState(layout: 42));
            Assert.Equal(0, planner.Rounds);
            refused++;
        }
        Assert.True(refused > 500 && taken > 500, $"{refused} refused, {taken} taken");
    }

    [Theory]
    [InlineData("number of rounds", 4, new byte[] { 0, 0, 0, 0, 0, 0, 0, 0x80 })]
    [InlineData("number of rounds", 4, new byte[] { 0, 0, 0, 0, 0, 0, 0, 0x7f })]
    [InlineData("size of a mapping", AtSizes, new byte[] { 4 })]
    [InlineData("neighbourhood", AtSizes + 2 + (2 * SampledPages), new byte[] { 4 })]
    [InlineData("number of samples", AtBlocks, new byte[] { 65 })]
    [InlineData("weight of a block", AtBlocks + 4, new byte[] { 11 })]
    [InlineData("number of landmines", AtBlocks + 6, new byte[] { 0, 0, 0, 0, 0, 0, 0xf8, 0x7f })] // not a number
    [InlineData("number of landmines", AtBlocks + 6, new byte[] { 1, 0, 0, 0, 0, 0, 0, 0 })] // the least that there is
    [InlineData("number of landmines", AtBlocks + 14, new byte[] { 0, 0, 0, 0, 0, 0, 0xf0, 0xbf })] // -1
    [InlineData("number of pages", AtModel, new byte[] { 0, 0, 0xc0, 0x7f })] // not a number
    [InlineData("number of pages", AtModel, new byte[] { 0, 0, 0x80, 0xbf })] // -1
    [InlineData("number of pages", AtModel + (8192 * 4), new byte[] { 0, 0, 0x7f, 0x7f })] // 3e38
    public void What_no_planner_writes_is_refused_by_name(string what, int at, byte[] forgery)
    {
        byte[] forged = SavedState.Contents(Sampled().SaveState(layout: 42));
        forgery.CopyTo(forged, at);
        Assert.Equal($"it is damaged: no agent writes such a {what}", new PlacementPlanner(SampledPages, sampled: true)
            .RestoreState(HeatFileFormat.Pack(42, writer => writer.Write(forged)), layout: 42));
    }

    [Fact]
    public void What_cannot_be_unpacked_is_refused()
    {
        byte[] good = Warm().SaveState(layout: 42);
        byte[] untouched = new PlacementPlanner(Pages).SaveState(layout: 42);
        for (int at = SavedState.HeaderBytes; at < good.Length; at++)
        {
            byte[] forged = [.. good];
            forged[at] ^= 0x55;
            XxHash128.Hash(forged.AsSpan(SavedState.HeaderBytes), forged.AsSpan(20));
            PlacementPlanner planner = new(Pages);
            if (planner.RestoreState(forged, layout: 42) is not null)
                Assert.Equal(untouched, planner.SaveState(layout: 42));
        }
    }

    private static PlacementPlanner Sampled()
    {
        PlacementPlanner planner = new(SampledPages, sampled: true) { WriteWeight = 2 };
        for (int round = 0; round < 4; round++)
            Play(planner);
        return planner;
    }

    // One block mapped as one and sampled, one in pages.
    private static void Play(PlacementPlanner planner)
    {
        MappingSize[] sizes = [MappingSize.Size2M, MappingSize.Size4K];
        ulong[] accessed = new ulong[SampledPages / 64];
        accessed[0] = accessed[9] = 0xf0f;
        byte[] residency = new byte[SampledPages];
        Array.Fill(residency, Residency.Fast);
        Array.Fill(residency, Residency.Slow, 0, 512);
        MovePlan plan = new();
        for (int round = 0; round < 2; round++)
        {
            for (int harvest = 0; harvest < 4; harvest++)
                planner.Observe(accessed, sizes);
            for (int sample = 0; sample < 80; sample++)
                planner.Sample(sample * 7 % SampledPages, write: sample % 4 == 0);
            planner.CountLandmines(100, 50);
            planner.EndRound(residency, budgetPages: 512, maxMoves: 100, plan);
            Assert.True(double.IsFinite(plan.PlannedFastShare) && double.IsFinite(plan.Accesses));
            Assert.InRange(plan.DemotedPages + plan.PromotedPages, 0, 512 + 100);
        }
        Array.Fill(sizes, MappingSize.Size4K);
        planner.Observe(accessed, sizes); // what was mapped as one is broken up
    }
}
