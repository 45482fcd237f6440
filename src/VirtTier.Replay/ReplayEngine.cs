// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using VirtTier.Primitives;
using VirtTier.Replay.Traces;

namespace VirtTier.Replay;

/// <summary>What a policy sees of the accesses of a harvest.</summary>
public enum Observation
{
    /// <summary>Which pages were accessed.</summary>
    Bits,

    /// <summary>How often each page was accessed, and how.</summary>
    Counts,
}

/// <summary>How pages get their memory.</summary>
public enum Allocation
{
    /// <summary>At the first touch: in DRAM while the domain is under its budget, else in the slow tier.</summary>
    Headroom,

    /// <summary>Before the start: in order of first touch until DRAM is full, the others in the slow tier.</summary>
    Populated,
}

/// <summary>When a policy may move pages.</summary>
public enum Decision
{
    /// <summary>At the end of each round.</summary>
    Round,

    /// <summary>After each harvest too, if it is a policy that has something to decide then.</summary>
    Harvest,
}

/// <summary>What a replay comes to.</summary>
/// <param name="Pages">Distinct pages of the trace.</param>
/// <param name="Budget">Of these, how many may be fast.</param>
/// <param name="Accesses">Accesses of the trace.</param>
/// <param name="FastAccesses">Of these, how many found their page in the fast tier.</param>
/// <param name="Moves">Promotions and demotions, in pages.</param>
/// <param name="Cost">What one move costs, in accesses.</param>
public readonly record struct ReplayResult(int Pages, int Budget, long Accesses, long FastAccesses, long Moves, double Cost)
{
    /// <summary>Share of the accesses that were served from the fast tier, 0..1.</summary>
    public double Share => (double)FastAccesses / Accesses;

    /// <summary>The share less what the moves cost.</summary>
    public double Net => Share - (Cost * Moves / Accesses);
}

/// <summary>Plays a trace against a policy.</summary>
public static class ReplayEngine
{
    /// <summary>The number of pages that a share of the trace's distinct pages comes to.</summary>
    public static int BudgetOf(Trace trace, double share)
    {
        ArgumentNullException.ThrowIfNull(trace);
        return (int)Math.Clamp(Math.Round(trace.Pages * share), 0, trace.Pages);
    }

    /// <summary>Plays the trace from beginning to end.</summary>
    /// <param name="trace">The trace.</param>
    /// <param name="policy">A policy that has seen nothing yet.</param>
    /// <param name="budget">Most pages in DRAM.</param>
    /// <param name="observation">What the policy sees.</param>
    /// <param name="allocation">How pages get their memory.</param>
    /// <param name="cost">What one moved page costs, in accesses.</param>
    /// <param name="decision">When the policy is asked.</param>
    public static ReplayResult Run(
        Trace trace, IReplayPolicy policy, int budget, Observation observation, Allocation allocation, double cost,
        Decision decision)
    {
        ArgumentNullException.ThrowIfNull(trace);
        ArgumentNullException.ThrowIfNull(policy);
        ReplayPlacement placement = new(trace.Pages, budget);
        if (allocation == Allocation.Populated)
            Populate(trace, placement);

        long fast = 0;
        List<PageTouch> bits = [];
        for (int round = 0; round < trace.Rounds; round++)
        {
            for (int harvest = 0; harvest < trace.Harvests; harvest++)
            {
                ReadOnlySpan<PageTouch> touches = trace.Slice(round, harvest);
                foreach (PageTouch touch in touches)
                {
                    if (placement.Residencies[touch.Page] == Residency.Absent)
                        placement.Allocate(touch.Page);
                    if (placement.IsFast(touch.Page))
                        fast += touch.Count;
                }
                policy.Observe(observation == Observation.Counts ? touches : ToBits(touches, bits));
                if (decision == Decision.Harvest && harvest < trace.Harvests - 1)
                    policy.EndHarvest(placement);
            }
            // What is decided after the last round would serve no access.
            if (round < trace.Rounds - 1)
                policy.EndRound(placement);
        }
        return new ReplayResult(trace.Pages, budget, trace.Accesses, fast, placement.Moves, cost);
    }

    private static void Populate(Trace trace, ReplayPlacement placement)
    {
        for (int round = 0; round < trace.Rounds; round++)
        {
            for (int harvest = 0; harvest < trace.Harvests; harvest++)
            {
                foreach (PageTouch touch in trace.Slice(round, harvest))
                {
                    if (placement.Residencies[touch.Page] == Residency.Absent)
                        placement.Allocate(touch.Page);
                }
            }
        }
    }

    private static ReadOnlySpan<PageTouch> ToBits(ReadOnlySpan<PageTouch> touches, List<PageTouch> bits)
    {
        bits.Clear();
        foreach (PageTouch touch in touches)
            bits.Add(new PageTouch(touch.Page, 1, 0, 0) { Sample = touch.Sample });
        return CollectionsMarshal.AsSpan(bits);
    }
}
