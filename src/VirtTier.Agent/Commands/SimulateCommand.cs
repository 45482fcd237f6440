// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using VirtTier.Libvirt.Settings;
using VirtTier.Replay.Simulation;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier simulate</c>: a host of synthetic VMs under one pool, and what deciding for them costs.</summary>
internal static class SimulateCommand
{
    private static readonly SimulationOptions s_defaults = new();

    public static Command Create()
    {
        Option<int> vms = new("--vms") { Description = "Synthetic VMs", DefaultValueFactory = _ => s_defaults.Guests };
        Option<long> memory = new("--memory")
        {
            Description = "Memory of all VMs together, such as 12TiB",
            DefaultValueFactory = _ => s_defaults.MemoryBytes,
            CustomParser = Size,
        };
        Option<double> dram = new("--dram")
        {
            Description = "Fast memory as a share of it, such as 20%",
            DefaultValueFactory = _ => s_defaults.DramPercent,
            CustomParser = Percent,
        };
        Option<int> rounds = new("--rounds") { Description = "Rounds to play", DefaultValueFactory = _ => s_defaults.Rounds };
        Option<int> harvests = new("--harvests")
        {
            Description = "Harvests of a round",
            DefaultValueFactory = _ => s_defaults.Harvests,
        };
        Option<int> seed = new("--seed")
        {
            Description = "Seed of the first VM; each has the next one",
            DefaultValueFactory = _ => s_defaults.Seed,
        };
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

    private static long Size(ArgumentResult result)
    {
        string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        if (SizeSpec.TryParse(text, out SizeSpec size, out string? error) && size.Kind == SizeKind.Bytes
            && size.Resolve(0) is ulong bytes and > 0 and < long.MaxValue)
            return (long)bytes;
        result.AddError($"--memory '{text}': must be a size with a unit, such as 12TiB{(error is null ? "" : $" ({error})")}");
        return 0;
    }

    private static double Percent(ArgumentResult result)
    {
        string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        if (text.EndsWith('%') && double.TryParse(
            text.AsSpan(0, text.Length - 1), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double percent))
            return percent;
        result.AddError($"--dram '{text}': must be a share of the memory, such as 20%");
        return 0;
    }
}
