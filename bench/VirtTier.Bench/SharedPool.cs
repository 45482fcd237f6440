// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Replay.Traces;
using VirtTier.Tiering.Budgets;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Bench;

/// <summary>Guests that share a pool of DRAM, played side by side, round by round; all memory begins slow.</summary>
internal sealed class SharedPool
{
    private readonly List<Trace> _traces;
    private readonly int _pool;
    private readonly bool _byUtility;
    private readonly long[]? _split;
    private readonly List<PoolGuest> _guests = [];

    /// <summary>Guests whose pool is divided by utility, or equally.</summary>
    public SharedPool(List<Trace> traces, int pool, bool byUtility)
        : this(traces, pool, byUtility, split: null)
    {
    }

    /// <summary>Guests with fixed budgets.</summary>
    public SharedPool(List<Trace> traces, long[] split)
        : this(traces, (int)split.Sum(), byUtility: false, split)
    {
    }

    private SharedPool(List<Trace> traces, int pool, bool byUtility, long[]? split)
    {
        _traces = traces;
        _pool = pool;
        _byUtility = byUtility;
        _split = split;
        foreach (Trace trace in traces)
            _guests.Add(new PoolGuest(trace));
    }

    public double CurveError => _guests.Average(g => g.Curve!.Error);

    public IEnumerable<double> CurveErrors => _guests.Select(g => g.Curve!.Error);

    /// <summary>The share of all guests' accesses that a placement made in hindsight and never
    /// changed would serve fast.</summary>
    public static double BestStaticShare(List<Trace> traces, int pool)
    {
        List<long> counts = [];
        foreach (Trace trace in traces)
        {
            long[] count = new long[trace.Pages];
            for (int round = 0; round < trace.Rounds; round++)
            {
                for (int harvest = 0; harvest < trace.Harvests; harvest++)
                {
                    foreach (PageTouch touch in trace.Slice(round, harvest))
                        count[touch.Page] += touch.Count;
                }
            }
            counts.AddRange(count);
        }
        counts.Sort((a, b) => b.CompareTo(a));
        return (double)counts.Take(pool).Sum() / counts.Sum();
    }

    /// <summary>
    /// The fixed split that would have served most: each guest is played with every budget in steps of a fortieth of the
    /// pool, and of all ways to hand out the steps the best is taken.
    /// </summary>
    public static long[] BestSplit(List<Trace> traces, int pool)
    {
        const int steps = 40;
        double[][] served = new double[traces.Count][];
        Parallel.For(0, traces.Count, guest =>
        {
            served[guest] = new double[steps + 1];
            for (int step = 1; step <= steps; step++)
            {
                long budget = Math.Min((long)pool * step / steps, traces[guest].Pages);
                bool same = budget == Math.Min((long)pool * (step - 1) / steps, traces[guest].Pages);
                served[guest][step] =
                    same ? served[guest][step - 1] : new SharedPool([traces[guest]], [budget]).Play() * traces[guest].Accesses;
            }
        });
        // The best so far with so many steps for the guests so far, and how many the last of them has.
        double[] best = new double[steps + 1];
        int[][] given = new int[traces.Count][];
        for (int guest = 0; guest < traces.Count; guest++)
        {
            given[guest] = new int[steps + 1];
            for (int all = steps; all >= 0; all--)
            {
                double most = -1;
                for (int own = 0; own <= all; own++)
                {
                    if (best[all - own] + served[guest][own] <= most)
                        continue;
                    most = best[all - own] + served[guest][own];
                    given[guest][all] = own;
                }
                best[all] = most;
            }
        }
        long[] split = new long[traces.Count];
        int left = steps;
        for (int guest = traces.Count - 1; guest >= 0; guest--)
        {
            split[guest] = (long)pool * given[guest][left] / steps;
            left -= given[guest][left];
        }
        return split;
    }

    /// <summary>Plays all rounds.</summary>
    /// <returns>Share of all accesses that were served fast.</returns>
    public double Play()
    {
        long fast = 0;
        long all = 0;
        for (int round = 0; round < _traces[0].Rounds; round++)
        {
            foreach (PoolGuest guest in _guests)
                fast += guest.PlayRound(round);
            long[] budgets = Divide();
            for (int i = 0; i < _guests.Count; i++)
                _guests[i].EndRound(budgets[i]);
        }
        foreach (Trace trace in _traces)
            all += trace.Accesses;
        return (double)fast / all;
    }

    private long[] Divide()
    {
        if (_split is not null)
            return _split;
        BudgetDemand[] demands =
            [.. _guests.Select(g => new BudgetDemand(g.Pages, Curve: _byUtility ? g.Curve : null, Previous: g.Budget))];
        return PoolDivider.Divide(demands, _pool, out _);
    }

    private sealed class PoolGuest
    {
        private static readonly TimeSpan s_round = TimeSpan.FromSeconds(2);

        private readonly Trace _trace;
        private readonly PlacementPlanner _planner;
        private readonly MovePlan _plan = new();
        private readonly byte[] _residency;
        private readonly MappingSize[] _sizes;
        private readonly ulong[] _accessed;

        public PoolGuest(Trace trace)
        {
            _trace = trace;
            Pages = (trace.Pages + 511) / 512 * 512;
            _planner = new PlacementPlanner(Pages);
            _residency = new byte[Pages];
            Array.Fill(_residency, Residency.Absent);
            _residency.AsSpan(0, trace.Pages).Fill(Residency.Slow);
            _sizes = new MappingSize[Pages / 512];
            Array.Fill(_sizes, MappingSize.Size4K);
            _accessed = new ulong[Pages / 64];
        }

        public int Pages { get; }

        public long Budget { get; private set; }

        public DramCurve? Curve { get; private set; }

        public long PlayRound(int round)
        {
            long fast = 0;
            for (int harvest = 0; harvest < _trace.Harvests; harvest++)
            {
                Array.Clear(_accessed);
                foreach (PageTouch touch in _trace.Slice(round, harvest))
                {
                    _accessed[touch.Page / 64] |= 1UL << (touch.Page % 64);
                    if (_residency[touch.Page] == Residency.Fast)
                        fast += touch.Count;
                }
                _planner.Observe(_accessed, _sizes);
            }
            return fast;
        }

        public void EndRound(long budget)
        {
            Budget = budget;
            _planner.EndRound(_residency, budget, maxMoves: long.MaxValue, _plan);
            foreach (PageRun run in _plan.Demotions.Span)
                _residency[run.First] = Residency.Slow;
            foreach (PageRun run in _plan.Promotions.Span)
                _residency[run.First] = Residency.Fast;
            Curve = _planner.Curve(s_round);
        }
    }
}
