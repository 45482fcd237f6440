// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Replay;
using VirtTier.Replay.Policies;
using VirtTier.Replay.Traces;

namespace VirtTier.Bench;

/// <summary>The generated families at 20 % DRAM, accessed bits, four harvests a round, against the reference policies.</summary>
internal static class TieringBench
{
    private const int Accesses = 1_500_000;
    private const int Seed = 1;
    private const int Replicas = 6;

    // A few accesses a page, as in many recordings: what is rare has to be told from what is not.
    private const int FewAccesses = 200_000;
    private const int OtherSeed = 3;

    // Which of its services are awake is drawn on the way, so replicas have nothing in common.
    private const string WithoutReplicas = "bursts";

    public static void Run(BarTable bars)
    {
        List<(TraceFamily Family, Trace Trace)> traces = [];
        foreach (TraceFamily family in TraceFamilies.All)
            traces.Add((family, Trace.Load(() => family.Generate(Accesses, Seed), rounds: 50, harvests: 4)));
        Run(bars, traces, Allocation.Headroom, share: 0.79, net: 0.71, moves: 0.35);
        RunKnownRates(bars, traces);
        Run(bars, traces, Allocation.Populated, share: 0.64, net: 0.60, moves: 0.22);
        RunFewAccesses(bars);
    }

    private static void RunFewAccesses(BarTable bars)
    {
        Console.WriteLine();
        Console.WriteLine($"{"Few",-10} {"naive",13} {"virttier",13} {"moves/naive",12}");
        double shares = 0, nets = 0, ratios = 0;
        foreach (TraceFamily family in TraceFamilies.All)
        {
            Trace trace = Trace.Load(() => family.Generate(FewAccesses, OtherSeed), rounds: 50, harvests: 4);
            int budget = ReplayEngine.BudgetOf(trace, 0.2);
            ReplayResult Play(string policy) =>
                ReplayPolicies.Run(trace, policy, budget, Observation.Bits, Allocation.Headroom, cost: 1);
            ReplayResult naive = Play(ReplayPolicies.Naive);
            ReplayResult own = Play(ReplayPolicies.VirtTier);
            double ratio = (double)own.Moves / naive.Moves;
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{family.Name,-10} {Show(naive)} {Show(own)} {ratio,12:F2}"));
            shares += own.Share / TraceFamilies.All.Count;
            nets += own.Net / TraceFamilies.All.Count;
            ratios += ratio / TraceFamilies.All.Count;
        }
        // With heat as a plain average over eight rounds it was .637 and .541; .652 without less to earn in a guest that grows.
        bars.AtLeast("few accesses a page: mean share", shares, 0.655);
        bars.AtLeast("few accesses a page: mean net", nets, 0.545);
        bars.AtMost("few accesses a page: mean moves, of naive's", ratios, 0.20);
    }

    private static void Run(
        BarTable bars, List<(TraceFamily Family, Trace Trace)> traces, Allocation allocation, double share,
        double net, double moves)
    {
        Console.WriteLine();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{allocation,-10} {"freeze",13} {"naive",13} {"virttier",13} {"hindsight",13} "
                + $"{"moves/naive",12} {"gap closed",11}"));
        double shares = 0, nets = 0, ratios = 0, gaps = 0, worst = double.PositiveInfinity, wasted = 0;
        int families = 0;
        foreach ((TraceFamily family, Trace trace) in traces)
        {
            int budget = ReplayEngine.BudgetOf(trace, 0.2);
            ReplayResult Play(string policy) => ReplayPolicies.Run(trace, policy, budget, Observation.Bits, allocation, cost: 1);
            ReplayResult freeze = Play(ReplayPolicies.Freeze);
            ReplayResult naive = Play(ReplayPolicies.Naive);
            ReplayResult own = Play(ReplayPolicies.VirtTier);
            ReplayResult hindsight = Play(ReplayPolicies.Hindsight);
            double ratio = (double)own.Moves / naive.Moves;
            double gap = (own.Net - freeze.Net) / (hindsight.Net - freeze.Net);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{family.Name,-10} {Show(freeze)} {Show(naive)} {Show(own)} {Show(hindsight)} {ratio,12:F2} "
                    + $"{(family.CanGain ? gap : 0),11:F2}"));
            worst = Math.Min(worst, own.Share - freeze.Share);
            if (!family.CanGain)
            {
                wasted = Math.Max(wasted, ratio);
                continue;
            }
            shares += own.Share;
            nets += own.Net;
            ratios += ratio;
            gaps += gap;
            families++;
        }
        string name = allocation == Allocation.Headroom ? "headroom" : "populated";
        bars.AtLeast($"{name}: mean share", shares / families, share);
        bars.AtLeast($"{name}: mean net", nets / families, net);
        bars.AtMost($"{name}: mean moves, of naive's", ratios / families, moves);
        bars.AtLeast($"{name}: share above freeze, worst family", worst, -0.005);
        bars.AtMost($"{name}: moves of naive's where nothing can be gained, worst family", wasted, 0.05);
        bars.AtLeast($"{name}: gap closed from freeze to hindsight, mean", gaps / families, 0.5);
    }

    // How near the planner comes to a plan made with the rates of all pages known, from other traces of the same structure.
    private static void RunKnownRates(BarTable bars, List<(TraceFamily Family, Trace Trace)> traces)
    {
        Console.WriteLine();
        Console.WriteLine($"{"Headroom",-10} {"freeze",13} {"virttier",13} {"rates known",13} {"gap closed",11}");
        double gaps = 0;
        int families = 0;
        foreach ((TraceFamily family, Trace trace) in traces)
        {
            if (!family.CanGain || family.Name == WithoutReplicas)
                continue;
            int budget = ReplayEngine.BudgetOf(trace, 0.2);
            ReplayResult Play(string policy) =>
                ReplayPolicies.Run(trace, policy, budget, Observation.Bits, Allocation.Headroom, cost: 1);
            ReplayResult freeze = Play(ReplayPolicies.Freeze);
            ReplayResult own = Play(ReplayPolicies.VirtTier);
            ReplicaRates rates = new(trace, [.. Enumerable.Range(1, Replicas).Select(replica => (Func<Trace>)(() =>
                Trace.Load(() => family.Generate(Accesses, Seed, replica), trace.Rounds, trace.Harvests)))]);
            HindsightPolicy plan = new(trace, budget, Allocation.Headroom, cost: 1, rates);
            ReplayResult known = ReplayEngine.Run(
                trace, plan, budget, Observation.Bits, Allocation.Headroom, cost: 1, Decision.Round);
            double gap = (own.Net - freeze.Net) / (known.Net - freeze.Net);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{family.Name,-10} {Show(freeze)} {Show(own)} {Show(known)} {gap,11:F2}"));
            gaps += gap;
            families++;
        }
        bars.AtLeast("headroom: gap closed from freeze to a plan with known rates, mean", gaps / families, 0.6);
    }

    private static string Show(ReplayResult result) =>
        string.Create(CultureInfo.InvariantCulture, $"{result.Share,6:F3} {result.Net,6:F3}");
}
