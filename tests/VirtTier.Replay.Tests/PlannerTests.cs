// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Replay.Tests;

/// <summary>What neighbours and counted accesses add to the planner, on generated traces.</summary>
public sealed class PlannerTests
{
    [Fact]
    public void Services_that_wake_are_caught_sooner_with_the_neighbours_help()
    {
        TraceFamily bursts = TraceFamilies.All.Single(f => f.Name == "bursts");
        Trace trace = Trace.Load(() => bursts.Generate(1_500_000, seed: 1), rounds: 50, harvests: 4);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        ReplayResult result = ReplayPolicies.Run(trace, "virttier", budget, Observation.Bits, Allocation.Headroom, cost: 1);
        // Without neighbourhoods it comes to 0.718, with them to 0.761.
        Assert.True(result.Share > 0.74, $"share {result.Share}");
    }

    [Fact]
    public void Counted_accesses_make_moves_worth_more_than_bits_do()
    {
        // A page is accessed a hundred times in the harvest in which it is accessed at all.
        IEnumerable<TraceAccess> Accesses()
        {
            Random random = new(4);
            long time = 0;
            for (int burst = 0; burst < 8_000; burst++)
            {
                ulong page = (ulong)((burst / 1_600 * 300) + random.Next(600));
                for (int i = 0; i < 100; i++)
                    yield return new TraceAccess(time++, page, AccessKind.Read);
            }
        }
        Trace trace = Trace.Load(Accesses, rounds: 50, harvests: 4);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        double Net(Observation observation) =>
            ReplayPolicies.Run(trace, "virttier", budget, observation, Allocation.Populated, cost: 1).Net;
        Assert.True(Net(Observation.Counts) > Net(Observation.Bits) + 0.02,
            $"counts {Net(Observation.Counts)}, bits {Net(Observation.Bits)}");
    }
}
