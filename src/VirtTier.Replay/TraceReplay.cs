// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;
using System.Text.Json;
using VirtTier.Primitives;
using VirtTier.Replay.Traces;
using VirtTier.Tiering.Splitting;

namespace VirtTier.Replay;

/// <summary>What <c>virttier replay</c> is asked for.</summary>
/// <param name="TracePath">The trace: a file, a pipe, or <c>-</c> for the standard input.</param>
/// <param name="DramPercent">DRAM as a percentage of the trace's distinct pages, 0..100.</param>
public sealed record ReplayOptions(string TracePath, double DramPercent)
{
    /// <summary>Equal slices of the trace's time; a decision at the end of each.</summary>
    public int Rounds { get; init; } = 50;

    /// <summary>Equal slices of a round, each of which is observed once.</summary>
    public int Harvests { get; init; } = 4;

    /// <summary>What policies see.</summary>
    public Observation Observe { get; init; } = Observation.Bits;

    /// <summary>When the agent's own planner may move pages.</summary>
    public Decision Decide { get; init; } = Decision.Harvest;

    /// <summary>How pages get their memory.</summary>
    public Allocation Alloc { get; init; } = Allocation.Headroom;

    /// <summary>What moving one page costs, in accesses.</summary>
    public double Cost { get; init; } = 1;

    /// <summary>Pages that are placed as one: 1, or the 512 of a block. Both pages and moves are counted in these.</summary>
    public int RunPages { get; init; } = 1;

    /// <summary>Fault samples a round that the agent's own planner gets.</summary>
    public int Samples { get; init; }

    /// <summary>Accesses that a write counts as.</summary>
    public int WriteWeight { get; init; } = 1;

    /// <summary>
    /// With 512 <see cref="RunPages"/>: the percentage of the blocks that may be split at the same time; null when none is to be.
    /// </summary>
    public double? SplitPercent { get; init; }

    /// <summary>One of <see cref="ReplayPolicies.Names"/>.</summary>
    public string Policy { get; init; } = ReplayPolicies.VirtTier;

    /// <summary>Whether to print one JSON object instead of text.</summary>
    public bool Json { get; init; }
}

/// <summary><c>virttier replay</c>: plays a recorded trace against a policy and prints what it comes to.</summary>
public static class TraceReplay
{
    // The agent's own, in a round of a second.
    private const int DefaultSplitSamples = 100;

    /// <summary>Runs the command.</summary>
    /// <param name="options">What is asked for.</param>
    /// <param name="output">Receives the result.</param>
    /// <returns>0; what is wrong with the options or the trace is thrown.</returns>
    /// <exception cref="InvalidDataException">The trace is malformed; the message names file and line.</exception>
    /// <exception cref="IOException">The trace cannot be read.</exception>
    public static int Run(ReplayOptions options, TextWriter output)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(output);
        Check(options);
        using TraceFile trace = new(options.TracePath);
        try
        {
            if (options.SplitPercent is { } percent)
                RunSplit(options, percent, trace, output);
            else
                RunWhole(options, trace, output);
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{trace.Name}: {e.Message}", e);
        }
        return 0;
    }

    private static void RunWhole(ReplayOptions options, TraceFile file, TextWriter output)
    {
        Trace trace = Trace.Load(file.Read, options.Rounds, options.Harvests, options.RunPages, options.WriteWeight);
        int budget = ReplayEngine.BudgetOf(trace, options.DramPercent / 100);
        ReplaySamples? samples = options.Samples > 0 ? new ReplaySamples(options.Samples, options.WriteWeight) : null;
        ReplayResult result = ReplayPolicies.Run(
            trace, options.Policy, budget, options.Observe, options.Alloc, options.Cost, samples, options.Decide);
        Write(options, result, split: null, output);
    }

    private static void RunSplit(ReplayOptions options, double percent, TraceFile file, TextWriter output)
    {
        SplitReplayResult split = SplitReplay.Run(
            file.Read, options.Rounds, options.Harvests, options.DramPercent / 100, options.Alloc, options.Cost, options.Decide,
            new ReplaySamples(options.Samples > 0 ? options.Samples : DefaultSplitSamples, options.WriteWeight),
            new SplitLimits(percent / 100, PerRound: int.MaxValue));
        Write(options, split.Result, split, output);
    }

    private static void Write(ReplayOptions options, ReplayResult result, SplitReplayResult? split, TextWriter output)
    {
        if (options.Json)
            WriteJson(options, result, split, output);
        else
            WriteText(result, split, options.Policy, output);
    }

    private static void Check(ReplayOptions options)
    {
        if (options.SplitPercent is null)
            return;
        Require(options.RunPages == PageSizes.BlockPages, "--unit", "4K", "2M with --split: nothing smaller can be split");
        Require(options.Policy == ReplayPolicies.VirtTier, "--policy", options.Policy,
            $"{ReplayPolicies.VirtTier} with --split: no other splits");
        Require(options.Observe == Observation.Bits, "--observe", options.Observe, "bits with --split");
    }

    private static void Require(bool isRight, string option, object value, string right)
    {
        if (!isRight)
            throw new ArgumentException($"{option} {value}: must be {right}.");
    }

    private static void WriteJson(ReplayOptions options, ReplayResult result, SplitReplayResult? split, TextWriter output)
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter json = new(buffer))
        {
            json.WriteStartObject();
            json.WriteString("policy", options.Policy);
            json.WriteNumber("share", Math.Round(result.Share, 6));
            json.WriteNumber("moves", result.Moves);
            json.WriteNumber("net", Math.Round(result.Net, 6));
            json.WriteNumber("accesses", result.Accesses);
            json.WriteNumber("pages", result.Pages);
            json.WriteNumber("dram_pages", result.Budget);
            if (split is { } done)
            {
                json.WriteNumber("splits", done.Splits);
                json.WriteNumber("joins", done.Joins);
                json.WriteNumber("most_split", done.MostSplit);
            }
            json.WriteEndObject();
        }
        output.WriteLine(Encoding.UTF8.GetString(buffer.ToArray()));
    }

    private static void WriteText(ReplayResult result, SplitReplayResult? split, string policy, TextWriter output)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        output.WriteLine(string.Create(culture, $"policy    {policy}"));
        output.WriteLine(string.Create(
            culture, $"trace     {result.Accesses} accesses to {result.Pages} pages, of which {result.Budget} fit into DRAM"));
        output.WriteLine(string.Create(culture, $"share     {result.Share:F4} of the accesses served from DRAM"));
        output.WriteLine(string.Create(culture, $"moves     {result.Moves} pages"));
        output.WriteLine(string.Create(culture, $"net       {result.Net:F4} at a cost of {result.Cost} accesses a move"));
        if (split is { } done)
            output.WriteLine(string.Create(culture,
                $"split     {done.Splits} blocks, {done.Joins} of them joined again; at most {done.MostSplit} at a time"));
    }
}
