// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Pictures;
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
            HotAwayBytes = 5L << 20,
            Home = [new NodeShare(0, 1)],
            Rounds = 12,
            RoundSeconds = 1.25,
            PromotedPages = 3,
            DemotedPages = 1L << 40,
            RehomedPages = 7,
            SunkPages = 9,
            RaisedPages = 3,
            PingPongShare = 0.125,
            MoveCost = 0.5,
            FaultSamples = 99,
            ByNode = [new NodeBytes(0, 900L << 20), new NodeBytes(1, 2000L << 20), new NodeBytes(2, 1000L << 20)],
            SlowAccessShare = 0.0625,
            SlowAccessError = 0.03125,
            HarvestSeconds = 1.5,
            MoveSeconds = 0.75,
            Unmoved = new Dictionary<string, long> { ["pinned"] = 2 },
        })])
    {
        Loops = [new LoopStatus("watching domains", 3, 120), new LoopStatus("dividing the pool", 0.5, 120)],
        Sources = [new SourceStatus("kubevirt", true, null)],
    };
}
