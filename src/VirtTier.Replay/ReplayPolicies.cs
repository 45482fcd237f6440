// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Policies;
using VirtTier.Replay.Traces;

namespace VirtTier.Replay;

/// <summary>The policies that a trace can be replayed with, by name.</summary>
public static class ReplayPolicies
{
    /// <summary>The agent's own planner.</summary>
    public const string VirtTier = "virttier";

    /// <summary>Fill once, never move.</summary>
    public const string Freeze = "freeze";

    /// <summary>Re-place by heat each round.</summary>
    public const string Naive = "naive";

    /// <summary>The plan made with knowledge of the whole trace.</summary>
    public const string Hindsight = "hindsight";

    /// <summary>The best placement that never changes: it makes no decisions, so it is no <see cref="IReplayPolicy"/>.</summary>
    public const string Oracle = "oracle";

    /// <summary>Every name.</summary>
    public static IReadOnlyList<string> Names { get; } =
        [VirtTier, Freeze, Naive, "ewma-gap", "lru", "seed", Oracle, "oracle-round", Hindsight];

    /// <summary>Plays a trace with the policy of that name.</summary>
    /// <param name="trace">The trace.</param>
    /// <param name="policy">One of <see cref="Names"/>.</param>
    /// <param name="budget">Most pages in DRAM.</param>
    /// <param name="observation">What the policy sees.</param>
    /// <param name="allocation">How pages get their memory.</param>
    /// <param name="cost">What one moved page costs, in accesses.</param>
    /// <param name="samples">Fault samples a round that <see cref="VirtTier"/> gets; null for none.</param>
    /// <param name="decision">When a policy may move pages; only <see cref="VirtTier"/> has something
    /// to decide within a round.</param>
    /// <exception cref="ArgumentException">No policy has that name.</exception>
    public static ReplayResult Run(
        Trace trace, string policy, int budget, Observation observation, Allocation allocation, double cost,
        ReplaySamples? samples = null,
        Decision decision = Decision.Harvest)
    {
        ArgumentNullException.ThrowIfNull(trace);
        if (policy == Oracle)
            return OracleBound.Run(trace, budget, cost);
        IReplayPolicy chosen = Create(trace, policy, budget, observation, allocation, cost, samples, decision);
        return ReplayEngine.Run(trace, chosen, budget, observation, allocation, cost, decision);
    }

    private static IReplayPolicy Create(
        Trace trace, string policy, int budget, Observation observation, Allocation allocation, double cost,
        ReplaySamples? samples,
        Decision decision) => policy switch
    {
        VirtTier => new VirtTierPolicy(trace, observation, allocation, cost, decision, samples),
        Freeze => new FreezePolicy(),
        Naive => new NaivePolicy(trace.Pages),
        "ewma-gap" => new EwmaGapPolicy(trace.Pages),
        "lru" => new LruPolicy(trace.Pages),
        "seed" => new SeedPolicy(trace.Pages),
        "oracle-round" => new OracleRoundPolicy(trace),
        Hindsight => new HindsightPolicy(trace, budget, allocation, cost),
        _ => throw new ArgumentException($"\"{policy}\" is no policy; there are {string.Join(", ", Names)}.", nameof(policy)),
    };
}
