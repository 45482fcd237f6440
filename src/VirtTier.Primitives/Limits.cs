// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Primitives;

/// <summary>
/// The limits of every number and time that somebody gives: in the configuration, in a domain's settings, on the command line.
/// What reads one takes its limit from here, and the documents' tables are held against <see cref="ByName"/>.
/// </summary>
public static class Limits
{
    /// <summary>An amount of memory. The most is what an x86-64 processor can address: 52 bits (AMD64 Architecture Programmer's
    /// Manual, volume 2, 5.1). All that is counted from a size then fits into 64 bits with their sign.</summary>
    public static Limit Size { get; } = new(0, 1L << 52, LimitUnit.Bytes);

    /// <summary>A part of something.</summary>
    public static Limit Share { get; } = new(0, 100, LimitUnit.Percent);

    /// <summary>Migration traffic.</summary>
    public static Limit Rate { get; } = new(1L << 10, 1L << 52, LimitUnit.BytesPerSecond);

    /// <summary>A part of one CPU.</summary>
    public static Limit CpuShare { get; } = new(0.1m, 100, LimitUnit.Percent);

    /// <summary>A part of a domain's huge pages.</summary>
    public static Limit SplitShare { get; } = new(0.1m, 100, LimitUnit.Percent);

    /// <summary>A domain's weight.</summary>
    public static Limit Shares { get; } = new(1, 10_000);

    /// <summary>The number of a NUMA node: the kernel has at most 1024 (MAX_NUMNODES).</summary>
    public static Limit Node { get; } = new(0, 1023);

    /// <summary>Time between two harvests.</summary>
    public static Limit HarvestInterval { get; } = new(0.01m, 60, LimitUnit.Seconds);

    /// <summary>Harvests of a round.</summary>
    public static Limit HarvestsPerRound { get; } = new(1, 64);

    /// <summary>Fault samples a second that the agent takes of a domain.</summary>
    public static Limit FaultRate { get; } = new(0, 1000);

    /// <summary>Reads that a write costs as much as.</summary>
    public static Limit WriteWeight { get; } = new(0.25m, 4);

    /// <summary>Price of a GiB of DRAM, in any currency.</summary>
    public static Limit DramCost { get; } = new(0.0001m, 1_000_000);

    /// <summary>Time between two looks at libvirt.</summary>
    public static Limit Heartbeat { get; } = new(1, 300, LimitUnit.Seconds);

    /// <summary>Seconds between two pictures of <c>virttier top</c>.</summary>
    public static Limit TopDelay { get; } = new(0.1m, 3600);

    /// <summary>Pictures of <c>virttier top</c>; 0 is no end.</summary>
    public static Limit TopCount { get; } = new(0, int.MaxValue);

    /// <summary>Time that a heat map shows; the agent keeps no more.</summary>
    public static Limit HeatmapTime { get; } = new(1, 96_000, LimitUnit.Seconds);

    /// <summary>Fault samples a second on the command line: the most is the kernel module's own limit (MAX_FREQ in
    /// faults.c), as a fault costs the guest tens of microseconds.</summary>
    public static Limit SampleRate { get; } = new(1, 20_000);

    /// <summary>Samples to print.</summary>
    public static Limit SampleCount { get; } = new(1, int.MaxValue);

    /// <summary>Milliseconds between two harvests of a recording.</summary>
    public static Limit RecordInterval { get; } = new(10, 60_000);

    /// <summary>Seconds to record: thirty days.</summary>
    public static Limit RecordDuration { get; } = new(1, 30 * 24 * 60 * 60);

    /// <summary>Rounds to replay or to simulate.</summary>
    public static Limit ReplayRounds { get; } = new(1, 100_000);

    /// <summary>Accesses that moving a page costs.</summary>
    public static Limit ReplayCost { get; } = new(0, 1_000_000);

    /// <summary>Fault samples a round of a replay.</summary>
    public static Limit ReplaySamples { get; } = new(0, 1_000_000);

    /// <summary>Accesses that a write counts as in a replay.</summary>
    public static Limit ReplayWriteWeight { get; } = new(1, 100);

    /// <summary>Synthetic VMs.</summary>
    public static Limit SimulatedVms { get; } = new(1, 100_000);

    /// <summary>Memory of all synthetic VMs together; blocks are numbered with 31 bits.</summary>
    public static Limit SimulatedMemory { get; } = new(64L << 20, 1L << 50, LimitUnit.Bytes);

    /// <summary>Seed of the first synthetic VM.</summary>
    public static Limit Seed { get; } = new(0, 1_000_000_000);

    /// <summary>The limits by the name of what they are of: a key of the configuration, an attribute of a domain's settings, or
    /// an option with its command. Two where there are two ways to give it.</summary>
    public static IReadOnlyDictionary<string, IReadOnlyList<Limit>> ByName { get; } =
        new Dictionary<string, IReadOnlyList<Limit>>
        {
            ["pool.dram"] = [Share, Size],
            ["sampling.interval"] = [HarvestInterval],
            ["sampling.harvests_per_round"] = [HarvestsPerRound],
            ["sampling.domain_cpu"] = [CpuShare],
            ["sampling.fault_rate"] = [FaultRate],
            ["tiers.fast"] = [Node],
            ["tiers.slow"] = [Node],
            ["tiers.write_weight"] = [WriteWeight],
            ["migration.domain_rate"] = [Rate],
            ["migration.domain_cpu"] = [CpuShare],
            ["migration.host_rate"] = [Rate],
            ["migration.split"] = [SplitShare],
            ["costs.dram_per_gib"] = [DramCost],
            ["libvirt.heartbeat"] = [Heartbeat],
            ["dram"] = [Share, Size],
            ["min"] = [Share, Size],
            ["max"] = [Share, Size],
            ["shares"] = [Shares],
            ["rate"] = [Rate],
            ["split"] = [SplitShare],
            ["top --delay"] = [TopDelay],
            ["top --count"] = [TopCount],
            ["heatmap --last"] = [HeatmapTime],
            ["sample --rate"] = [SampleRate],
            ["sample --count"] = [SampleCount],
            ["record --interval"] = [RecordInterval],
            ["record --duration"] = [RecordDuration],
            ["replay --dram"] = [Share],
            ["replay --rounds"] = [ReplayRounds],
            ["replay --harvests"] = [HarvestsPerRound],
            ["replay --cost"] = [ReplayCost],
            ["replay --split"] = [Share],
            ["replay --samples"] = [ReplaySamples],
            ["replay --write-weight"] = [ReplayWriteWeight],
            ["simulate --vms"] = [SimulatedVms],
            ["simulate --memory"] = [SimulatedMemory],
            ["simulate --dram"] = [Share],
            ["simulate --rounds"] = [ReplayRounds],
            ["simulate --harvests"] = [HarvestsPerRound],
            ["simulate --seed"] = [Seed],
        };
}
