// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Tests.Metrics;

/// <summary>A status in which every metric has a series.</summary>
internal static class SampleStatus
{
    /// <param name="domains">Names of the running domains.</param>
    public static AgentStatus Of(params string[] domains) => new(
        "1.2.3",
        5.5,
        new LibvirtStatus(true, null, 7),
        [new TierStatus("fast", [0], 8L << 30, 1L << 30), new TierStatus("slow", [1, 2], 32L << 30, 16L << 30)],
        6L << 30,
        [.. domains.Select((name, i) => new DomainStatus
        {
            Name = name,
            Uuid = new Guid(i + 1, 0, 0, new byte[8]),
            State = TieringState.Tiering,
            Mode = "enforce",
            MemoryBytes = 4L << 30,
            BudgetBytes = 1L << 30,
            FastBytes = 900L << 20,
            SlowBytes = 3000L << 20,
            HotBytes = 800L << 20,
            HotFastBytes = 700L << 20,
            Rounds = 12,
            RoundSeconds = 1.25,
            PromotedPages = 3,
            DemotedPages = 1L << 40,
            PingPongShare = 0.125,
            MoveCost = 0.5,
            FaultSamples = 99,
            Unmoved = new Dictionary<string, long> { ["pinned"] = 2 },
        })])
    {
        Sources = [new SourceStatus("kubevirt", true, null)],
    };
}
