// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Replay;

namespace VirtTier.Tiering.Tests;

/// <summary>Recorded programs (see Recordings/README.md), replayed as <c>virttier replay --dram 20%</c> does.</summary>
public sealed class RecordedTests
{
    // The floors are .02 below what the planner reached when they were written.
    [Theory]
    [InlineData("sqlite", Allocation.Headroom, 0.900)]
    [InlineData("sqlite", Allocation.Populated, 0.850)]
    [InlineData("cc1", Allocation.Headroom, 0.569)]
    [InlineData("cc1", Allocation.Populated, 0.474)]
    [InlineData("sort", Allocation.Headroom, 0.882)]
    [InlineData("sort", Allocation.Populated, 0.823)]
    [InlineData("python", Allocation.Headroom, 0.469)]
    [InlineData("python", Allocation.Populated, 0.388)]
    public void Planner_stays_near_the_best_with_few_moves(string name, Allocation allocation, double floor)
    {
        string path = Path.Combine(AppContext.BaseDirectory, "Recordings", name + ".vttr.gz");
        IEnumerable<TraceAccess> Read()
        {
            using FileStream file = File.OpenRead(path);
            foreach (TraceAccess access in TraceReader.Read(file))
                yield return access;
        }
        Trace trace = Trace.Load(Read, rounds: 50, harvests: 4);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        ReplayResult Play(string policy) => ReplayPolicies.Run(trace, policy, budget, Observation.Bits, allocation, cost: 1);
        ReplayResult own = Play(ReplayPolicies.VirtTier);
        ReplayResult freeze = Play(ReplayPolicies.Freeze);
        ReplayResult naive = Play(ReplayPolicies.Naive);
        Assert.True(own.Net >= floor, $"net {own.Net:F3} of at least {floor}");
        Assert.True(own.Share >= freeze.Share - 0.005, $"share {own.Share:F3}, of freeze {freeze.Share:F3}");
        Assert.True(own.Moves <= 0.4 * naive.Moves, $"{own.Moves} moves, of naive {naive.Moves}");
    }
}
