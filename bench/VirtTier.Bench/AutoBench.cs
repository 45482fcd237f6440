// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Replay.Traces;

namespace VirtTier.Bench;

/// <summary>
/// Eight unlike guests in one pool: the pool divided by what each one's planner learned, against the equal split, and
/// against the fixed split that hindsight over all of them together shows to be best. For orientation, the best placement
/// of single pages that never changes is printed too: no division of budgets could promise it.
/// </summary>
internal static class AutoBench
{
    private const int Accesses = 400_000;
    private const int Rounds = 30;
    private const int Harvests = 4;

    // How many times the accesses of the others each guest makes: unlike guests are unlike in load too.
    private static readonly double[] s_loads = [1, 0.2, 2, 0.5, 1, 0.1, 0.5, 1];

    public static void Run(BarTable bars)
    {
        List<Trace> traces = [];
        TraceFamily[] families = [.. TraceFamilies.All.Where(f => f.CanGain)];
        for (int i = 0; i < families.Length; i++)
        {
            TraceFamily family = families[i];
            int accesses = (int)(Accesses * s_loads[i]);
            int seed = 100 + i;
            traces.Add(Trace.Load(() => family.Generate(accesses, seed), Rounds, Harvests));
        }
        int pool = traces.Sum(t => t.Pages) / 5;
        SharedPool auto = new(traces, pool, byUtility: true);
        SharedPool equal = new(traces, pool, byUtility: false);
        double autoShare = auto.Play();
        double equalShare = equal.Play();
        double best = new SharedPool(traces, SharedPool.BestSplit(traces, pool)).Play();
        double placed = SharedPool.BestStaticShare(traces, pool);
        Console.WriteLine();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"auto: share {autoShare:F3}; equal split {equalShare:F3}; joint hindsight split {best:F3}; "
                + $"best static placement {placed:F3} ({autoShare / placed:F3} of it)"));
        Console.WriteLine(
            "curves' errors " + string.Join(", ",
                auto.CurveErrors.Select((e, i) => string.Create(CultureInfo.InvariantCulture, $"{families[i].Name} {e:F3}"))));
        bars.AtLeast("auto: share, of the joint hindsight split's", autoShare / best, 0.95);
        bars.AtLeast("auto: share, above the equal split's", autoShare - equalShare, 0);
        bars.AtMost("auto: mean error of the curves", auto.CurveError, 0.03);
    }
}
