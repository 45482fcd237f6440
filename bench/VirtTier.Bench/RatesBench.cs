// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Primitives;
using VirtTier.Tiering.Budgets;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Bench;

/// <summary>
/// Guests whose pages are touched at rates that are known, each touch independent of the others: how near the planner comes to
/// the rates by harvests after unequal times, and how much of the touches DRAM serves if it holds a quarter of the busy pages, or
/// if a pool of half of them is divided among guests, with such harvests and with equal ones.
/// </summary>
internal static class RatesBench
{
    private const int Rounds = 120;
    private const int Settled = 40; // rounds before anything counts

    // Milliseconds from harvest to harvest: four of a round, and those of the agent, which divides one of four equal ones.
    private static readonly Harvest[] s_unequal = [new(10, false), new(40, false), new(160, false), new(790, true)];
    private static readonly Harvest[] s_equal = [new(250, true), new(250, true), new(250, true), new(250, true)];
    private static readonly Harvest[] s_agent = [s_equal[0], new(10, false), new(40, false), new(200, true), .. s_equal[2..]];

    public static void Run(BarTable bars)
    {
        Console.WriteLine();
        MeasureRates(bars, "four harvests a round", s_unequal);
        MeasureRates(bars, "the agent's harvests", s_agent);
        MeasureShare(bars, "4 KiB", MappingSize.Size4K);
        MeasureShare(bars, "2 MiB", MappingSize.Size2M);
        MeasureDivision(bars);
    }

    private static void MeasureRates(BarTable bars, string name, Harvest[] harvests)
    {
        RatesGuest guest = new(units: 4096, busy: 4096, least: 1, greatest: 100, MappingSize.Size4K);
        for (int round = 0; round < Rounds; round++)
            guest.PlayRound(harvests, budget: 0);
        double[] errors = [.. guest.Errors().Select(Math.Abs).Order()];
        double middle = errors[errors.Length / 2], far = errors[(int)(errors.Length * 0.99)];
        double within = errors.Count(e => e <= 1) / (double)errors.Length;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"rates from 1 to 100 a second, {name}: off by {Math.Pow(2, middle):F2} in the middle, {Math.Pow(2, far):F2} at "
                + $"the 99th hundredth, {Math.Pow(2, errors[^1]):F2} at most; mean {guest.Errors().Average():F3} octaves"));
        bars.AtLeast($"rates from 1 to 100 a second, {name}: within a factor of 2", within, 0.99);
    }

    private static void MeasureShare(BarTable bars, string name, MappingSize size)
    {
        double[] shares = new double[2];
        long[] moves = new long[2];
        double best = 0;
        for (int way = 0; way < shares.Length; way++)
        {
            RatesGuest guest = new(units: 4096, busy: 512, least: 5, greatest: 500, size);
            for (int round = 0; round < Rounds; round++)
            {
                if (round == Settled)
                    guest.CountFromNow();
                guest.PlayRound(way == 1 && guest.WantsGlances ? s_agent : s_equal, budget: 128);
            }
            (shares[way], moves[way]) = (guest.Share, guest.Moves);
            best = guest.BestShare(128);
        }
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name}, rates from 5 to 500, a quarter of the busy in DRAM: share {shares[0]:F3} with equal harvests "
                + $"({moves[0]} moves), {shares[1]:F3} with glances ({moves[1]} moves), at best {best:F3}"));
        bars.AtLeast($"hot pages a hundredfold apart, {name}: share with glances, of the best", shares[1] / best, 0.9);
        bars.AtLeast($"hot pages a hundredfold apart, {name}: share with glances, of that without", shares[1] / shares[0], 1.4);
    }

    // Guests of which every harvest finds all busy pages accessed: to equal harvests they are all alike.
    private static void MeasureDivision(BarTable bars)
    {
        const int pages = 2048, busy = 512;
        double[] slowest = [25, 50, 100, 200];
        int pool = slowest.Length * busy / 2;
        double[] shares = new double[2];
        double best = 0;
        string budgets = "";
        for (int way = 0; way < shares.Length; way++)
        {
            RatesGuest[] guests = [.. slowest.Select(least => new RatesGuest(pages, busy, least, least * 2, MappingSize.Size4K))];
            for (int round = 0; round < Rounds; round++)
            {
                BudgetDemand[] demands = [.. guests.Select(g => new BudgetDemand(pages, Curve: g.Curve(), Previous: g.Budget))];
                long[] division = PoolDivider.Divide(demands, pool, out _);
                foreach ((RatesGuest guest, long budget) in guests.Zip(division))
                {
                    if (round == Settled)
                        guest.CountFromNow();
                    guest.PlayRound(way == 1 && guest.WantsGlances ? s_agent : s_equal, budget);
                }
            }
            shares[way] = guests.Sum(g => g.Served) / guests.Sum(g => g.Touches);
            best = guests.SelectMany(g => g.Rates).OrderDescending().Take(pool).Sum() / guests.Sum(g => g.Rates.Sum());
            budgets = string.Join(", ", guests.Select(g => g.Budget));
        }
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"four guests from 25 to 400 touches a page and second, a pool of half of their busy pages: "
                + $"share {shares[0]:F3} with equal harvests, {shares[1]:F3} with glances (budgets {budgets}), "
                + $"at best {best:F3}"));
        bars.AtLeast("pool of guests eightfold apart: share with glances, of the best", shares[1] / best, 0.9);
        bars.AtLeast("pool of guests eightfold apart: share with glances, of that without", shares[1] / shares[0], 1.3);
    }

    private readonly record struct Harvest(double Milliseconds, bool EndsQuarter);

    /// <summary>Units, of a page or a 2 MiB block each, of which some are busy, strewn over the guest.</summary>
    private sealed class RatesGuest
    {
        private readonly Random _random = new(1);
        private readonly double[] _rates;
        private readonly int _pagesEach;
        private readonly PlacementPlanner _planner;
        private readonly MovePlan _plan = new();
        private readonly byte[] _residency;
        private readonly MappingSize[] _sizes;
        private readonly ulong[] _accessed;
        private double _fast;
        private double _all;

        public RatesGuest(int units, int busy, double least, double greatest, MappingSize size)
        {
            _pagesEach = size == MappingSize.Size2M ? PageSizes.BlockPages : 1;
            int pages = units * _pagesEach;
            _planner = new PlacementPlanner(pages, glanced: true);
            _rates = new double[units];
            int[] places = [.. Enumerable.Range(0, units)];
            _random.Shuffle(places);
            for (int i = 0; i < busy; i++)
                _rates[places[i]] = least * Math.Pow(greatest / least, i / (busy - 1.0));
            _residency = new byte[pages];
            Array.Fill(_residency, Residency.Slow);
            _sizes = new MappingSize[pages / PageSizes.BlockPages];
            Array.Fill(_sizes, size);
            _accessed = new ulong[pages / 64];
        }

        public bool WantsGlances => _planner.WantsGlances;

        public IReadOnlyList<double> Rates => _rates;

        public double Served => _fast;

        public double Touches => _all;

        public double Share => _fast / _all;

        /// <summary>Its budget of the last round, in units.</summary>
        public long Budget { get; private set; }

        public long Moves { get; private set; }

        /// <summary>The logarithms of what was estimated over what is so, in octaves.</summary>
        public IEnumerable<double> Errors() => Enumerable.Range(0, _rates.Length).Select(
            unit => Math.Log2((_planner.TouchRate(unit * _pagesEach) ?? 1e-9) / _rates[unit]));

        public double BestShare(int units) => _rates.OrderDescending().Take(units).Sum() / _rates.Sum();

        public void CountFromNow() => (_fast, _all, Moves) = (0, 0, 0);

        public DramCurve? Curve() => _planner.Curve(TimeSpan.FromSeconds(1));

        public void PlayRound(Harvest[] harvests, long budget)
        {
            Budget = budget;
            foreach (Harvest harvest in harvests)
            {
                Touch(harvest.Milliseconds / 1000);
                TimeSpan watched = TimeSpan.FromMilliseconds(harvest.Milliseconds);
                if (harvest.EndsQuarter)
                    _planner.Observe(_accessed, _sizes, watched: watched);
                else
                    _planner.Glance(_accessed, _sizes, watched);
            }
            _planner.EndRound(_residency, budget * _pagesEach, maxMoves: long.MaxValue, _plan);
            Move(_plan.Demotions.Span, Residency.Slow);
            Move(_plan.Promotions.Span, Residency.Fast);
        }

        private void Touch(double seconds)
        {
            Array.Clear(_accessed);
            for (int unit = 0; unit < _rates.Length; unit++)
            {
                double touches = _rates[unit] * seconds;
                _all += touches;
                if (_residency[unit * _pagesEach] == Residency.Fast)
                    _fast += touches;
                if (_random.NextDouble() >= Math.Exp(-touches))
                    _accessed[unit * _pagesEach / 64] |= 1UL << (unit * _pagesEach % 64);
            }
        }

        private void Move(ReadOnlySpan<PageRun> runs, byte tier)
        {
            foreach (PageRun run in runs)
            {
                _residency.AsSpan(run.First, run.Count).Fill(tier);
                Moves++;
            }
        }
    }
}
