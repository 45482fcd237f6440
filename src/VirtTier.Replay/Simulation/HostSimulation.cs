// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text.Json.Nodes;
using VirtTier.Primitives;

namespace VirtTier.Replay.Simulation;

/// <summary>What <c>virttier simulate</c> is asked for.</summary>
public sealed record SimulationOptions
{
    /// <summary>Guests on the host.</summary>
    public int Guests { get; init; } = 1000;

    /// <summary>Memory of all guests together, in bytes.</summary>
    public long MemoryBytes { get; init; } = 12L << 40;

    /// <summary>DRAM as a percentage of it, 0..100.</summary>
    public double DramPercent { get; init; } = 20;

    /// <summary>Rounds to play.</summary>
    public int Rounds { get; init; } = 50;

    /// <summary>Harvests of a round.</summary>
    public int Harvests { get; init; } = 4;

    /// <summary>How long a round is taken to last: what its CPU time is set against.</summary>
    public double RoundSeconds { get; init; } = 10;

    /// <summary>Seed of the first guest; each has the next one.</summary>
    public int Seed { get; init; } = 1;

    /// <summary>Whether to print one JSON object instead of text.</summary>
    public bool Json { get; init; }
}

/// <summary>
/// A host of synthetic guests under one pool of DRAM, in blocks of 2 MiB: the planner and the division of the pool at scale,
/// with what they cost in memory and CPU. What a guest does is made from a seed and not counted.
/// </summary>
public static class HostSimulation
{
    // Fewer blocks than this have no habits.
    private const int FewestBlocks = 32;

    /// <summary>Plays the host and prints what it comes to.</summary>
    /// <returns>0; what is wrong with the options is thrown.</returns>
    /// <exception cref="ArgumentException">Each guest would have too little memory; the message says what one needs.</exception>
    public static int Run(SimulationOptions options, TextWriter output)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(output);
        long blocks = options.MemoryBytes / PageSizes.BlockBytes;
        if (blocks / options.Guests < FewestBlocks)
        {
            throw new ArgumentException(
                $"--memory {BinaryUnits.Format((ulong)options.MemoryBytes)}: must be at least 64MiB a VM, and there are "
                    + $"{options.Guests}");
        }

        long before = GC.GetTotalMemory(forceFullCollection: true);
        SimulatedHost host = new(options, (int)(blocks / options.Guests));
        for (int round = 0; round < options.Rounds; round++)
            host.PlayRound(round);
        // The guests' own state is part of it, so this is an upper bound of what the decisions need.
        long bytes = GC.GetTotalMemory(forceFullCollection: true) - before;
        Print(options, host, bytes, output);
        return 0;
    }

    private static void Print(SimulationOptions options, SimulatedHost host, long bytes, TextWriter output)
    {
        double tebibytes = options.MemoryBytes / (double)(1L << 40);
        double cpuPerTebibyte = host.Cpu.TotalSeconds / options.Rounds / options.RoundSeconds / tebibytes;
        double memoryShare = bytes / (double)options.MemoryBytes;
        if (options.Json)
        {
            output.WriteLine(new JsonObject
            {
                ["vms"] = options.Guests,
                ["memory_bytes"] = options.MemoryBytes,
                ["seed"] = options.Seed,
                ["rounds"] = options.Rounds,
                ["share"] = Math.Round(host.Share, 6),
                ["moves"] = host.Moves,
                ["agent_bytes"] = bytes,
                ["agent_bytes_per_tib"] = Math.Round(bytes / tebibytes),
                ["cpu_seconds_per_round"] = Math.Round(host.Cpu.TotalSeconds / options.Rounds, 6),
                ["cpu_share_per_tib"] = Math.Round(cpuPerTebibyte, 6),
                ["budget_exceeded"] = host.PoolExceeded,
            }.ToJsonString());
            return;
        }
        CultureInfo culture = CultureInfo.InvariantCulture;
        output.WriteLine(string.Create(
            culture,
            $"host      {options.Guests} VMs, {tebibytes:F2} TiB in blocks of 2 MiB, {options.DramPercent}% DRAM, "
                + $"seeds {options.Seed}..{options.Seed + options.Guests - 1}"));
        foreach ((Habit habit, double share, long moves, long pages) in host.ByHabit())
            output.WriteLine(string.Create(
                culture, $"{habit,-15} share {share:F3}, {moves} blocks moved, {pages} blocks of DRAM at the end"));
        output.WriteLine(string.Create(
            culture,
            $"share     {host.Share:F4} of the touches found their block in DRAM; {host.Moves} blocks moved; "
                + $"rounds over the pool: {host.PoolExceeded}"));
        output.WriteLine(string.Create(
            culture, $"memory    {bytes / 1048576.0:F1} MiB, {bytes / 1048576.0 / tebibytes:F1} MiB a TiB ({memoryShare:P4})"));
        output.WriteLine(string.Create(
            culture,
            $"CPU       {host.Cpu.TotalSeconds / options.Rounds:F3} s a round; "
                + $"at one round in {options.RoundSeconds} s {cpuPerTebibyte:P2} of a core a TiB"));
    }
}
