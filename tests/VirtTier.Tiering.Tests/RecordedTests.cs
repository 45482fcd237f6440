// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Replay;

namespace VirtTier.Tiering.Tests;

/// <summary>Recorded programs and a guest (see Recordings/README.md), replayed as <c>virttier replay --dram 20%</c> does.</summary>
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
        Trace trace = Load(name);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        ReplayResult Play(string policy) => ReplayPolicies.Run(trace, policy, budget, Observation.Bits, allocation, cost: 1);
        ReplayResult own = Play(ReplayPolicies.VirtTier);
        ReplayResult freeze = Play(ReplayPolicies.Freeze);
        ReplayResult naive = Play(ReplayPolicies.Naive);
        Assert.True(own.Net >= floor, $"net {own.Net:F3} of at least {floor}");
        Assert.True(own.Share >= freeze.Share - 0.005, $"share {own.Share:F3}, of freeze {freeze.Share:F3}");
        Assert.True(own.Moves <= 0.4 * naive.Moves, $"{own.Moves} moves, of naive {naive.Moves}");
    }

    // What `virttier record` saw of a real guest: one access for each page found accessed in a harvest. A move costs one as well, so only the
    // share tells something: in truth a bit stands for many accesses. The floors are .02 below what was reached when they were written.
    [Theory]
    [InlineData("guest-build", Allocation.Headroom, 0.867)]
    [InlineData("guest-build", Allocation.Populated, 0.787)]
    [InlineData("guest-database", Allocation.Headroom, 0.397)]
    [InlineData("guest-database", Allocation.Populated, 0.414)]
    public void A_recorded_guest_is_served_no_worse_than_by_freeze(string name, Allocation allocation, double floor)
    {
        Trace trace = Load(name);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        double own = ReplayPolicies.Run(trace, ReplayPolicies.VirtTier, budget, Observation.Bits, allocation, cost: 1).Share;
        double freeze = ReplayPolicies.Run(trace, ReplayPolicies.Freeze, budget, Observation.Bits, allocation, cost: 1).Share;
        Assert.True(own >= floor, $"share {own:F3} of at least {floor}");
        Assert.True(own >= freeze - 0.005, $"share {own:F3}, of freeze {freeze:F3}");
    }

    // What it costs that the planner does not weigh writes, as the agent cannot tell them: the best pages by accesses are compared with
    // the best where a write counts as four.
    [Theory]
    [InlineData("sqlite")]
    [InlineData("cc1")]
    [InlineData("sort")]
    [InlineData("python")]
    public void Writes_without_a_weight_of_their_own_lose_little(string name)
    {
        const int weight = 4;
        Trace trace = Load(name);
        int budget = ReplayEngine.BudgetOf(trace, 0.2);
        long[] accesses = new long[trace.Pages];
        long[] writes = new long[trace.Pages];
        for (int slice = 0; slice < trace.Rounds * trace.Harvests; slice++)
        {
            foreach (PageTouch touch in trace.Slice(slice / trace.Harvests, slice % trace.Harvests))
            {
                accesses[touch.Page] += touch.Count;
                writes[touch.Page] += touch.Writes;
            }
        }
        long[] worth = [.. accesses.Zip(writes, (all, written) => all + ((weight - 1) * written))];
        long unweighted = Enumerable.Range(0, trace.Pages).OrderByDescending(p => accesses[p]).Take(budget).Sum(p => worth[p]);
        double loss = (double)(worth.OrderDescending().Take(budget).Sum() - unweighted) / worth.Sum();
        double written = (double)writes.Sum() / accesses.Sum();
        TestContext.Current.TestOutputHelper?.WriteLine($"{name}: {written:F2} of the accesses are writes, loss {loss:F4}");
        Assert.True(written > 0.05, $"{name} tells nothing of writes: {written:F3}");
        Assert.True(loss < 0.03, $"loss {loss:F4}");
    }

    private static Trace Load(string name)
    {
        string path = Path.Combine(AppContext.BaseDirectory, "Recordings", name + ".vttr.gz");
        return Trace.Load(() => TraceReader.Read(File.OpenRead(path)), rounds: 50, harvests: 4);
    }
}
