// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Replay;
using VirtTier.Replay.Traces;

namespace VirtTier.Bench;

/// <summary>
/// The families that nothing was tuned on, against the reference policies, in the ways that a replay can be asked for. It
/// prints figures, not bars: a bar would invite tuning.
/// </summary>
internal static class HeldOutBench
{
    private const int Rounds = 50;

    private static readonly string[] s_policies = ["freeze", "lru", "ewma-gap", "seed", "virttier", "hindsight"];

    // The usual way, then one thing after the other changed.
    private static readonly Way[] s_ways =
    [
        new(), new() { Allocation = Allocation.Populated }, new() { Observation = Observation.Counts }, new() { Harvests = 1 },
        new() { Harvests = 8 }, new() { Dram = 0.1 }, new() { Dram = 0.4 }, new() { Cost = 0.5 }, new() { Cost = 2 },
    ];

    public static void Run()
    {
        Console.WriteLine("share and net of each policy; moves of virttier, and its share above freeze's");
        foreach (Way way in s_ways)
            Run(way);
    }

    private static void Run(Way way)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        Console.WriteLine();
        Console.WriteLine(string.Create(
            culture,
            $"{way.Allocation}, {way.Observation}, {way.Harvests} harvests, {way.Dram:P0} DRAM, a move costs {way.Cost}"));
        Console.WriteLine(
            string.Create(culture, $"{"",-10}") + string.Concat(s_policies.Select(p => string.Create(culture, $"{p,15}"))));
        double[] shares = new double[s_policies.Length];
        double[] nets = new double[s_policies.Length];
        foreach ((TraceFamily family, int accesses) in HeldOutFamilies.All)
        {
            Trace trace = Trace.Load(() => family.Generate(accesses, HeldOutFamilies.Seed), Rounds, way.Harvests);
            int budget = ReplayEngine.BudgetOf(trace, way.Dram);
            ReplayResult[] results =
                [.. s_policies.Select(p => ReplayPolicies.Run(trace, p, budget, way.Observation, way.Allocation, way.Cost))];
            for (int i = 0; i < results.Length; i++)
            {
                shares[i] += results[i].Share / HeldOutFamilies.All.Count;
                nets[i] += results[i].Net / HeldOutFamilies.All.Count;
            }
            ReplayResult own = results[Array.IndexOf(s_policies, ReplayPolicies.VirtTier)];
            Print(family.Name, [.. results.Select(r => r.Share)], [.. results.Select(r => r.Net)],
                string.Create(culture, $"{own.Moves,9} {own.Share - results[0].Share,7:F3}"));
        }
        Print("mean", shares, nets, "");
    }

    private static void Print(string name, double[] shares, double[] nets, string rest) => Console.WriteLine(
        string.Create(CultureInfo.InvariantCulture, $"{name,-10}")
        + string.Concat(shares.Zip(nets, (s, n) => string.Create(CultureInfo.InvariantCulture, $"  {s,6:F3} {n,6:F3}"))) + rest);

    private sealed record Way
    {
        public Allocation Allocation { get; init; } = Allocation.Headroom;

        public Observation Observation { get; init; } = Observation.Bits;

        public int Harvests { get; init; } = 4;

        public double Dram { get; init; } = 0.2;

        public double Cost { get; init; } = 1;
    }
}
