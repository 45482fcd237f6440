// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Replay.Traces;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Splitting;

namespace VirtTier.Replay;

/// <summary>What a replay in which blocks are split comes to.</summary>
/// <param name="Result">As of any replay, in blocks; a page that moves by itself is a move as a block is,
/// and so is a join.</param>
/// <param name="Splits">Blocks that were split.</param>
/// <param name="Joins">Blocks that were joined.</param>
/// <param name="MostSplit">Most blocks that were split at the same time.</param>
internal readonly record struct SplitReplayResult(ReplayResult Result, int Splits, int Joins, int MostSplit)
{
    /// <summary>The same as a share of all blocks, 0..1.</summary>
    public double MostSplitShare => (double)MostSplit / Result.Pages;
}

/// <summary>
/// Plays a trace against the agent's own planner in a guest with 2 MiB pages, which may be split. All pages of a block get their
/// memory at the first touch of one of them.
/// </summary>
internal sealed class SplitReplay
{
    private const int Block = PageSizes.BlockPages;
    private const int SampleSeed = 1;

    private readonly Trace _blocks;
    private readonly Trace _pages;
    private readonly int[] _pageOf;
    private readonly ReplaySamples _samples;
    private readonly SplitLimits _limits;
    private readonly double _cost;
    private readonly Decision _decision;
    private readonly PlacementPlanner _planner;
    private readonly MovePlan _plan = new();
    private readonly SplitPlan _splitPlan = new();
    private readonly Random _random = new(SampleSeed);
    private readonly ulong[] _accessed;
    private readonly MappingSize[] _sizes;
    private readonly byte[] _residency;
    private readonly int _budget;
    private int _fast;
    private long _moves;
    private int _splits;
    private int _joins;
    private int _mostSplit;
    private int _landmines;
    private bool _isWriteRound;

    private SplitReplay(
        Trace blocks, Trace pages, double dram, Allocation allocation, double cost, Decision decision, ReplaySamples samples,
        SplitLimits limits)
    {
        (_blocks, _pages, _samples, _limits, _cost, _decision) = (blocks, pages, samples, limits, cost, decision);
        _pageOf = new int[pages.Pages];
        foreach ((ulong gfn, int page) in pages.Runs)
            _pageOf[page] = (blocks.Runs[gfn / Block] * Block) + (int)(gfn % Block);
        _budget = ReplayEngine.BudgetOf(blocks, dram) * Block;
        // As VirtTierPolicy: how much of its memory a growing guest will touch is not for the planner to know.
        int guestPages = blocks.FitIntoGuest((allocation == Allocation.Headroom ? 2L : 1) * blocks.Pages * Block);
        _planner = new PlacementPlanner(guestPages, sampled: true)
        {
            MoveCost = cost,
            WriteWeight = samples.WriteWeight,
            DecisionSpacing = decision == Decision.Harvest ? 1.0 / blocks.Harvests : 1,
        };
        _accessed = new ulong[guestPages / 64];
        _sizes = new MappingSize[guestPages / Block];
        Array.Fill(_sizes, MappingSize.Size2M);
        _residency = new byte[guestPages];
        Array.Fill(_residency, Residency.Absent);
        if (allocation == Allocation.Populated)
            ForEachTouch(page => Allocate(page / Block));
    }

    /// <summary>Plays the trace from beginning to end.</summary>
    /// <param name="open">Begins to read the trace; must give the same accesses each time.</param>
    /// <param name="rounds">Rounds, 1 or more.</param>
    /// <param name="harvests">Harvests of a round, 1 or more.</param>
    /// <param name="dram">Share of the blocks that fit into DRAM, 0..1.</param>
    /// <param name="allocation">How blocks get their memory.</param>
    /// <param name="cost">What a move costs, in accesses.</param>
    /// <param name="decision">When the planner is asked.</param>
    /// <param name="samples">Fault samples that it gets.</param>
    /// <param name="limits">How much may be split.</param>
    public static SplitReplayResult Run(
        Func<IEnumerable<TraceAccess>> open, int rounds, int harvests, double dram, Allocation allocation, double cost,
        Decision decision, ReplaySamples samples, SplitLimits limits)
    {
        ArgumentNullException.ThrowIfNull(samples);
        int weight = (int)samples.WriteWeight;
        Trace blocks = Trace.Load(open, rounds, harvests, Block, weight);
        Trace pages = Trace.Load(open, rounds, harvests, runPages: 1, weight);
        return new SplitReplay(blocks, pages, dram, allocation, cost, decision, samples, limits).Run();
    }

    private SplitReplayResult Run()
    {
        long fast = 0;
        for (int round = 0; round < _pages.Rounds; round++)
        {
            for (int harvest = 0; harvest < _pages.Harvests; harvest++)
            {
                foreach (PageTouch touch in _pages.Slice(round, harvest))
                {
                    int page = _pageOf[touch.Page];
                    Allocate(page / Block);
                    if (_residency[page] == Residency.Fast)
                        fast += touch.Count;
                }
                Observe(round, harvest);
                if (_decision == Decision.Harvest && harvest < _pages.Harvests - 1)
                {
                    _planner.RestoreHeadroom(_fast, _plan);
                    Move();
                }
            }
            // What is decided after the last round would serve no access.
            if (round < _pages.Rounds - 1)
                EndRound();
        }
        ReplayResult result = new(_blocks.Pages, _budget / Block, _pages.Accesses, fast, _moves, _cost);
        return new SplitReplayResult(result, _splits, _joins, _mostSplit);
    }

    private void Observe(int round, int harvest)
    {
        Array.Clear(_accessed);
        foreach (PageTouch touch in _pages.Slice(round, harvest))
        {
            int page = _pageOf[touch.Page];
            if (_sizes[page / Block] == MappingSize.Size2M)
                page = page / Block * Block;
            _accessed[page / 64] |= 1UL << (page % 64);
        }
        ReadOnlySpan<PageTouch> touches = _blocks.Slice(round, harvest);
        foreach (PageTouch touch in touches)
        {
            // As the kernel module draws them. What is split is drawn as seldom as any page of the guest, so hardly ever.
            if (_sizes[touch.Page] != MappingSize.Size2M
                || _random.NextDouble() * touches.Length >= (double)_samples.PerRound / _pages.Harvests)
                continue;
            _landmines++;
            if (touch.Sample is { } sample && (sample.IsWritten || !_isWriteRound))
                _planner.Sample((touch.Page * Block) + sample.Offset, _isWriteRound);
        }
        _planner.Observe(_accessed, _sizes);
    }

    private void EndRound()
    {
        _planner.CountLandmines(_isWriteRound ? 0 : _landmines, _isWriteRound ? _landmines : 0);
        _landmines = 0;
        _isWriteRound = _samples.WriteWeight != 1 && !_isWriteRound;
        _planner.PlanSplits(_residency, _limits, _splitPlan);
        foreach (int block in _splitPlan.Splits)
        {
            _sizes[block] = MappingSize.Size4K;
            _planner.TakeSplit(block);
            _splits++;
        }
        foreach (int block in _splitPlan.Joins)
            Join(block);
        _planner.EndRound(_residency, _budget, maxMoves: long.MaxValue, _plan);
        Move();
        _mostSplit = Math.Max(_mostSplit, _planner.SplitBlocks);
    }

    private void Join(int block)
    {
        Span<byte> pages = _residency.AsSpan(block * Block, Block);
        int fast = pages.Count(Residency.Fast);
        bool toFast = fast > Block / 2;
        if (toFast && _fast + Block - fast > _budget)
        {
            _planner.TakeRefusal(block, mayPass: true);
            return;
        }
        pages.Fill(toFast ? Residency.Fast : Residency.Slow);
        _fast += toFast ? Block - fast : -fast;
        _moves++;
        _sizes[block] = MappingSize.Size2M;
        _planner.TakeJoin(block);
        _joins++;
    }

    private void Move()
    {
        foreach (PageRun run in _plan.Demotions.Span)
            Move(run, Residency.Fast, Residency.Slow);
        foreach (PageRun run in _plan.Promotions.Span)
            Move(run, Residency.Slow, Residency.Fast);
    }

    private void Move(PageRun run, byte from, byte to)
    {
        Span<byte> pages = _residency.AsSpan(run.First, run.Count);
        if (pages.ContainsAnyExcept(from))
            throw new InvalidOperationException($"Page {run.First} is not where the plan believes it.");
        pages.Fill(to);
        _fast += to == Residency.Fast ? run.Count : -run.Count;
        if (_fast > _budget)
            throw new InvalidOperationException($"{_fast} pages are fast, more than the budget's {_budget}.");
        _moves++;
    }

    private void Allocate(int block)
    {
        int first = block * Block;
        if (_residency[first] != Residency.Absent)
            return;
        bool fast = _fast + Block <= _budget;
        _residency.AsSpan(first, Block).Fill(fast ? Residency.Fast : Residency.Slow);
        _fast += fast ? Block : 0;
    }

    private void ForEachTouch(Action<int> action)
    {
        for (int round = 0; round < _pages.Rounds; round++)
        {
            for (int harvest = 0; harvest < _pages.Harvests; harvest++)
            {
                foreach (PageTouch touch in _pages.Slice(round, harvest))
                    action(_pageOf[touch.Page]);
            }
        }
    }
}
