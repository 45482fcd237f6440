// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Budgets;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Replay.Simulation;

/// <summary>Guests with their planners, and the pool that they share.</summary>
internal sealed class SimulatedHost
{
    private readonly SimulationOptions _options;
    private readonly List<SimulatedGuest> _guests = [];
    private readonly long _pool;

    public SimulatedHost(SimulationOptions options, int blocksEach)
    {
        _options = options;
        _pool = (long)((double)blocksEach * options.Guests * options.DramPercent / 100);
        Habit[] habits = Enum.GetValues<Habit>();
        for (int i = 0; i < options.Guests; i++)
            _guests.Add(new SimulatedGuest(
                new SyntheticGuest(habits[i % habits.Length], blocksEach, options.Seed + i), blocksEach, _pool / options.Guests));
    }

    /// <summary>CPU time of all decisions: observing, dividing, planning.</summary>
    public TimeSpan Cpu { get; private set; }

    public double Share => (double)_guests.Sum(g => g.FastTouches) / Math.Max(1, _guests.Sum(g => g.Touches));

    public long Moves => _guests.Sum(g => g.Moves);

    /// <summary>Rounds in which budgets together were more than the pool: there must be none.</summary>
    public int PoolExceeded { get; private set; }

    public void PlayRound(int round)
    {
        foreach (SimulatedGuest guest in _guests)
        {
            for (int harvest = 0; harvest < _options.Harvests; harvest++)
            {
                guest.Touch(round);
                Cpu += Timed(guest.Observe);
            }
        }
        Cpu += Timed(Decide);
        if (_guests.Sum(g => g.Budget) > _pool)
            PoolExceeded++;
        foreach (SimulatedGuest guest in _guests)
            guest.CarryOut();
    }

    public IEnumerable<(Habit Habit, double Share, long Moves, long Pages)> ByHabit() =>
        _guests.GroupBy(g => g.Habit).Select(g => (
            g.Key, (double)g.Sum(x => x.FastTouches) / Math.Max(1, g.Sum(x => x.Touches)), g.Sum(x => x.Moves),
            g.Sum(x => x.Fast)));

    private void Decide()
    {
        BudgetDemand[] demands = [.. _guests.Select(g => g.Demand())];
        long[] budgets = PoolDivider.Divide(demands, _pool, out _);
        for (int i = 0; i < budgets.Length; i++)
            _guests[i].Decide(budgets[i], TimeSpan.FromSeconds(_options.RoundSeconds));
    }

    private static TimeSpan Timed(Action work)
    {
        TimeSpan before = Environment.CpuUsage.TotalTime;
        work();
        return Environment.CpuUsage.TotalTime - before;
    }

    private sealed class SimulatedGuest
    {
        private readonly SyntheticGuest _guest;
        private readonly PlacementPlanner _planner;
        private readonly MovePlan _plan = new();
        private readonly ulong[] _accessed;
        private readonly MappingSize[] _sizes;
        private readonly byte[] _residency;
        private readonly int _blocks;
        private DramCurve? _curve;

        // Here a planner's page is a block: it is mapped, harvested and moved as one.
        public SimulatedGuest(SyntheticGuest guest, int blocks, long budget)
        {
            _guest = guest;
            _blocks = blocks;
            int pages = (blocks + PageSizes.BlockPages - 1) / PageSizes.BlockPages * PageSizes.BlockPages;
            _planner = new PlacementPlanner(pages);
            _accessed = new ulong[pages / 64];
            _sizes = new MappingSize[pages / PageSizes.BlockPages];
            Array.Fill(_sizes, MappingSize.Size4K);
            _residency = new byte[pages];
            Array.Fill(_residency, Residency.Absent);
            Budget = budget;
        }

        public Habit Habit => _guest.Habit;

        public long Touches { get; private set; }

        public long FastTouches { get; private set; }

        public long Moves { get; private set; }

        public long Fast { get; private set; }

        public long Budget { get; private set; }

        public void Touch(int round)
        {
            Array.Clear(_accessed);
            foreach (int block in _guest.Touches(round))
            {
                _accessed[block / 64] |= 1UL << (block % 64);
                if (_residency[block] == Residency.Absent)
                {
                    _residency[block] = Fast < Budget ? Residency.Fast : Residency.Slow;
                    Fast += _residency[block] == Residency.Fast ? 1 : 0;
                }
                Touches++;
                FastTouches += _residency[block] == Residency.Fast ? 1 : 0;
            }
        }

        public void Observe() => _planner.Observe(_accessed, _sizes);

        public BudgetDemand Demand() => new(_blocks, Curve: _curve, Previous: Budget);

        public void Decide(long budget, TimeSpan round)
        {
            Budget = budget;
            _planner.EndRound(_residency, budget, long.MaxValue, _plan);
            _curve = _planner.Curve(round);
        }

        public void CarryOut()
        {
            foreach (PageRun run in _plan.Demotions.Span)
                _residency[run.First] = Residency.Slow;
            foreach (PageRun run in _plan.Promotions.Span)
                _residency[run.First] = Residency.Fast;
            Fast += _plan.PromotedPages - _plan.DemotedPages;
            Moves += _plan.PromotedPages + _plan.DemotedPages;
        }
    }
}
