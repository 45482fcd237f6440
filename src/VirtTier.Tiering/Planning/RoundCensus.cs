// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.Planning;

/// <summary>
/// Ends a round for each page of a domain, and counts: which states are in which tier, how each state's round turned out,
/// what was born. Neighbours that are alike are taken together, 32 pages or more.
/// </summary>
/// <param name="history">The pages' past; advanced by <see cref="Take"/>.</param>
/// <param name="sizes">One <see cref="MappingSize"/> for each 512 pages.</param>
/// <param name="samples">What fault samples told of these.</param>
internal sealed class RoundCensus(PageHistory history, MappingSize[] sizes, BlockSamples samples)
{
    private readonly int[] _outcomes = new int[PageState.Count * PageState.Outcomes];
    private readonly long[] _pageOutcomes = new long[PageState.Count * PageState.Outcomes];
    private readonly int[] _neighbours = new int[Neighbourhood.Classes * PageState.Outcomes * Neighbourhood.Classes];
    private readonly double[] _fastOutcomes = new double[PageState.Outcomes];
    private readonly double[] _slowOutcomes = new double[PageState.Outcomes];
    private readonly long[] _allOutcomes = new long[PageState.Outcomes];
    private int _quarters;
    private long _round;

    public TierCensus Fast { get; } = new(samples.States);

    public TierCensus Slow { get; } = new(samples.States);

    /// <summary>Pages of a run in a weighted state, on average: 1 where there are pages alone, 512 where blocks.</summary>
    public long RunPages(int state)
    {
        int runs = Fast.MovableRuns[state] + Slow.MovableRuns[state];
        return runs == 0 ? 1 : (Fast.MovablePages[state] + Slow.MovablePages[state]) / runs;
    }

    /// <summary>For each state and outcome, page runs of which the round went that way.</summary>
    public ReadOnlySpan<int> Outcomes => _outcomes;

    /// <summary>The same, counted in pages.</summary>
    public ReadOnlySpan<long> PageOutcomes => _pageOutcomes;

    /// <summary>For each neighbourhood and outcome of a page run, how often which neighbourhood followed.</summary>
    public ReadOnlySpan<int> Neighbours => _neighbours;

    /// <summary>Pages by outcome that were there before the round and are fast, each as many as its accesses weigh.</summary>
    public ReadOnlySpan<double> FastOutcomes => _fastOutcomes;

    /// <summary>The same of slow pages.</summary>
    public ReadOnlySpan<double> SlowOutcomes => _slowOutcomes;

    /// <summary>Pages by outcome, those that were born in the round among them.</summary>
    public ReadOnlySpan<long> AllOutcomes => _allOutcomes;

    /// <summary>Pages that were there before the round and were accessed for the first time in it.</summary>
    public long FirstAccessed { get; private set; }

    /// <summary>Quarters of the round with a harvest.</summary>
    public int Quarters => _quarters;

    /// <summary>Pages that got memory since the last census.</summary>
    public long Born { get; private set; }

    /// <summary>Pages without memory.</summary>
    public long Absent { get; private set; }

    /// <summary>Ends the round.</summary>
    /// <param name="residency">One <see cref="Residency"/> a page.</param>
    /// <param name="quarters">Quarters of the round with a harvest; with 0 nothing is learned and no history advances.</param>
    /// <param name="round">Number of the round.</param>
    public void Take(ReadOnlySpan<byte> residency, int quarters, long round)
    {
        Clear();
        _quarters = quarters;
        _round = round;
        int next;
        for (int block = 0; block < sizes.Length; block = next)
        {
            next = block + 1;
            int first = block * PageSizes.BlockPages;
            if (sizes[block] == MappingSize.Size2M)
            {
                if (PageHistory.AllEqual(residency.Slice(first, PageSizes.BlockPages)))
                {
                    Count(residency[first], first, runs: 1, PageSizes.BlockPages, nextNeighbours: 0);
                    continue;
                }
                // A 2 MiB mapping whose pages are not all in one tier was broken up after the last harvest.
                samples.Split(block);
                sizes[block] = MappingSize.Size4K;
            }
            bool apart = samples.HasRates(block);
            while (next < sizes.Length && sizes[next] == sizes[block] && samples.Weight(next) == samples.Weight(block)
                && !apart && !samples.HasRates(next))
                next++;
            CountNeighbourhoods(residency, first, next * PageSizes.BlockPages, apart);
        }
    }

    private void Clear()
    {
        Fast.Clear();
        Slow.Clear();
        Array.Clear(_outcomes);
        Array.Clear(_pageOutcomes);
        Array.Clear(_neighbours);
        Array.Clear(_fastOutcomes);
        Array.Clear(_slowOutcomes);
        Array.Clear(_allOutcomes);
        FirstAccessed = Born = Absent = 0;
    }

    private void CountNeighbourhoods(ReadOnlySpan<byte> residency, int first, int end, bool apart)
    {
        for (int start = first; start < end;)
        {
            int alike = history.AlikeNeighbourhoods(residency, start, end);
            if (alike > 0 && !(apart && history.IsHit(start)))
            {
                CountAlike(residency[start], start, alike);
                start += alike;
                continue;
            }
            byte next = NextNeighbours(start);
            for (int page = start; page < start + Neighbourhood.Pages; page++)
                Count(residency[page], page, runs: 1, 1, next);
            history.Neighbours[start] = next;
            start += Neighbourhood.Pages;
        }
    }

    private void CountAlike(byte residency, int first, int count)
    {
        byte next = NextNeighbours(first);
        Count(residency, first, count, 1, next);
        if (history.Neighbours[first] != next)
            history.Neighbours.Of(first, count).Fill(next);
    }

    private byte NextNeighbours(int start) =>
        _quarters > 0 ? Neighbourhood.ClassOf(history.HitsIn(start)) : history.Neighbours[start];

    // Ends the round for page runs that are alike, of which the first page of the first stands for all.
    private void Count(byte residency, int page, int runs, int pagesEach, byte nextNeighbours)
    {
        bool known = history.WasResident(page);
        long pages = (long)runs * pagesEach;
        if (residency == Residency.Absent)
        {
            if (known)
                history.Forget(page, (int)pages);
            if (pagesEach > 1)
                samples.Forget(page / PageSizes.BlockPages);
            Absent += pages;
            return;
        }
        if (residency == Residency.Apart)
        {
            history.SetUntouched(page, (int)pages);
            if (pagesEach > 1)
                samples.Forget(page / PageSizes.BlockPages);
            return;
        }
        bool fast = Residency.Tier(residency) == Residency.Fast;
        int neighbours = history.Neighbours[page];
        int state = history.State(page);
        int own = state % PageState.Own;
        if (_quarters > 0 || !known)
        {
            int outcome = history.EndRound(page, runs, Math.Max(1, _quarters), _round);
            own = history.State(page) % PageState.Own;
            if (outcome == PageState.Outcomes - 1 && samples.Rates is not null)
                TakeSaturated(page, (int)pages, wasCool: PageState.IsCool(state % PageState.Own));
            _allOutcomes[outcome] += pages;
            if (known)
            {
                _outcomes[(state * PageState.Outcomes) + outcome] += runs;
                _pageOutcomes[(state * PageState.Outcomes) + outcome] += pages;
                _neighbours[(((neighbours * PageState.Outcomes) + outcome) * Neighbourhood.Classes) + nextNeighbours] += runs;
                (fast ? _fastOutcomes : _slowOutcomes)[outcome] += pages * AccessWeight.Factor(samples.Weight(page, own));
                if (outcome > 0 && PageState.IsUntouched(state % PageState.Own))
                    FirstAccessed += pages;
            }
            else
            {
                Born += pages;
            }
        }
        int weighted = PageState.Weighted((nextNeighbours * PageState.Own) + own, samples.Weight(page, own));
        (fast ? Fast : Slow).Add(weighted, runs, pagesEach, IsMovable(residency, page));
    }

    private void TakeSaturated(int page, int pages, bool wasCool)
    {
        if (wasCool && samples.HasRates(page / PageSizes.BlockPages))
            samples.Rates!.Restart(page);
        samples.Rates!.AddSaturated(page, pages);
    }

    private bool IsMovable(byte residency, int page) =>
        (residency & Residency.Immovable) == 0 && sizes[page / PageSizes.BlockPages] != MappingSize.Size1G;
}

/// <summary>How many pages and page runs of one tier are in each <see cref="PageState"/>, by
/// <see cref="AccessWeight"/>.</summary>
/// <param name="states">Weighted states.</param>
internal sealed class TierCensus(int states)
{
    private readonly long[] _pages = new long[states];
    private readonly long[] _movablePages = new long[states];
    private readonly int[] _movableRuns = new int[states];

    /// <summary>Pages of each state.</summary>
    public ReadOnlySpan<long> Pages => _pages;

    /// <summary>Of these, the pages that may move.</summary>
    public ReadOnlySpan<long> MovablePages => _movablePages;

    /// <summary>The page runs that make up <see cref="MovablePages"/>.</summary>
    public ReadOnlySpan<int> MovableRuns => _movableRuns;

    public void Clear()
    {
        Array.Clear(_pages);
        Array.Clear(_movablePages);
        Array.Clear(_movableRuns);
    }

    public void Add(int state, int runs, int pagesEach, bool movable)
    {
        int pages = runs * pagesEach;
        _pages[state] += pages;
        if (!movable)
            return;
        _movablePages[state] += pages;
        _movableRuns[state] += runs;
    }
}
