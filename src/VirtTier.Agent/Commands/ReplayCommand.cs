// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Primitives;
using VirtTier.Replay;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier replay</c>: how a policy, such as the agent's own, would have placed a recorded trace.</summary>
internal static class ReplayCommand
{
    private const double DefaultSplitPercent = 10;

    private static readonly ReplayOptions s_defaults = new("", 0);

    public static Command Create()
    {
        Argument<string> trace = new("trace")
        {
            Description = "Trace file, or - for the standard input: text (TIME_NS GFN OP) or binary, gzip accepted",
        };
        Option<double> dram = NumberOption.Number(
            "--dram", "Fast memory as a share of the trace's distinct pages, such as 20%", Limits.Share);
        Option<int> rounds = NumberOption.Whole(
            "--rounds", "Equal slices of the trace's time, a decision after each", Limits.ReplayRounds, s_defaults.Rounds);
        Option<int> harvests = NumberOption.Whole(
            "--harvests", "Looks at the accessed bits in a round", Limits.HarvestsPerRound, s_defaults.Harvests);
        Option<Observation> observe = WordOption.Of(
            "--observe", "What the policy sees: accessed bits or counts", s_defaults.Observe);
        Option<Decision> decide = WordOption.Of("--decide", "When virttier moves pages", s_defaults.Decide);
        Option<Allocation> alloc = WordOption.Of("--alloc", "Where new pages go", s_defaults.Alloc);
        Option<double> cost = NumberOption.Number(
            "--cost", "What moving a page costs, in accesses", Limits.ReplayCost, s_defaults.Cost);
        Option<string> unit = WordOption.Of("--unit", "What is placed as one", ["4K", "2M"], "4K");
        Option<double?> split = NumberOption.NumberOrBare(
            "--split", "With --unit 2M: most blocks that virttier may split, 10% of them without a value", Limits.Share,
            DefaultSplitPercent);
        Option<int> samples = NumberOption.Whole(
            "--samples", "Fault samples a round that virttier gets", Limits.ReplaySamples, s_defaults.Samples);
        Option<int> writeWeight = NumberOption.Whole(
            "--write-weight", "Accesses that a write counts as", Limits.ReplayWriteWeight, s_defaults.WriteWeight);
        Option<string> policy = WordOption.Of("--policy", "Who decides", [.. ReplayPolicies.Names], s_defaults.Policy);
        Option<bool> json = new("--json") { Description = "Print one JSON object" };

        Command command = new("replay", "Play a recorded trace against a policy: share of accesses served fast, pages moved")
        {
            trace, dram, rounds, harvests, observe, decide, alloc, cost, unit, split, samples, writeWeight, policy, json,
        };
        command.SetAction(result => Run(new ReplayOptions(result.GetRequiredValue(trace), result.GetValue(dram))
        {
            Rounds = result.GetValue(rounds),
            Harvests = result.GetValue(harvests),
            Observe = result.GetValue(observe),
            Decide = result.GetValue(decide),
            Alloc = result.GetValue(alloc),
            Cost = result.GetValue(cost),
            RunPages = result.GetValue(unit) == "2M" ? PageSizes.BlockPages : 1,
            SplitPercent = result.GetValue(split),
            Samples = result.GetValue(samples),
            WriteWeight = result.GetValue(writeWeight),
            Policy = result.GetRequiredValue(policy),
            Json = result.GetValue(json),
        }));
        return command;
    }

    private static int Run(ReplayOptions options)
    {
        try
        {
            return TraceReplay.Run(options, Console.Out);
        }
        catch (Exception e) when (e is ArgumentException or IOException or InvalidDataException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"virttier: {e.Message}");
            return ExitCode.BadInput;
        }
    }
}
