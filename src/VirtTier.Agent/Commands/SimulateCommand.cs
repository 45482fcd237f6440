// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Primitives;
using VirtTier.Replay.Simulation;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier simulate</c>: a host of synthetic VMs under one pool, and what deciding for them costs.</summary>
internal static class SimulateCommand
{
    private static readonly SimulationOptions s_defaults = new();

    public static Command Create()
    {
        Option<int> vms = NumberOption.Whole("--vms", "Synthetic VMs", Limits.SimulatedVms, s_defaults.Guests);
        Option<long> memory = NumberOption.Size(
            "--memory", "Memory of all VMs together, such as 12TiB", Limits.SimulatedMemory, s_defaults.MemoryBytes);
        Option<double> dram = NumberOption.Number(
            "--dram", "Fast memory as a share of it, such as 20%", Limits.Share, s_defaults.DramPercent);
        Option<int> rounds = NumberOption.Whole("--rounds", "Rounds to play", Limits.ReplayRounds, s_defaults.Rounds);
        Option<int> harvests = NumberOption.Whole(
            "--harvests", "Harvests of a round", Limits.HarvestsPerRound, s_defaults.Harvests);
        Option<int> seed = NumberOption.Whole(
            "--seed", "Seed of the first VM; each has the next one", Limits.Seed, s_defaults.Seed);
        Option<bool> json = new("--json") { Description = "Print one JSON object" };
        Command command = new("simulate",
            "Play a host of synthetic VMs under one pool: share served fast, the agent's memory and CPU")
        {
            vms, memory, dram, rounds, harvests, seed, json,
        };
        command.SetAction(result =>
        {
            try
            {
                return HostSimulation.Run(
                    new SimulationOptions
                    {
                        Guests = result.GetValue(vms),
                        MemoryBytes = result.GetValue(memory),
                        DramPercent = result.GetValue(dram),
                        Rounds = result.GetValue(rounds),
                        Harvests = result.GetValue(harvests),
                        Seed = result.GetValue(seed),
                        Json = result.GetValue(json),
                    },
                    Console.Out);
            }
            catch (ArgumentException e)
            {
                Console.Error.WriteLine($"virttier: {e.Message}");
                return ExitCode.BadInput;
            }
        });
        return command;
    }
}
