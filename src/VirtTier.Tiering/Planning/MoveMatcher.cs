// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Planning;

/// <summary>Picks what moves: the least worth of the fast pages and blocks against the most worth of the slow ones.</summary>
internal sealed class MoveMatcher(PageHistory history, MappingSize[] sizes, BlockSamples samples, ValueModel model)
{
    // A move is expected to earn half as much again as it costs: expectations err, and the best-looking ones err upwards.
    // The same factor is in the values (see Cost), or else no page that is accessed less than once a round could ever pay.
    private const double Margin = 1.5;

    // Where pages are born, room is made for them in every round. What a promotion displaces would have had to go soon anyway:
    // its demotion is brought forward and not one more, and so a move has to earn less.
    private const double MarginOfGrowing = 1.2;

    // Where bursts come and go, a third of the moved pages come back, and rightly so: it pays, or they would not have been
    // moved. Where more than half do, expectations are worse than usual, and moves have to earn up to three times as much.
    private const double Usual = 0.5;
    private const double Brake = 4;

    // Expectations err in proportion to what they are: pages that are accessed in every harvest look alike, and to swap them
    // would be to follow noise. What comes in must get that share more of the accesses of what goes out for it; but no more than
    // so many times the cost of a move, for an error costs no more than its moves: busy guests
    // would keep what they have for ever.
    private const double Doubt = 1;
    private const double MostDoubt = 4;

    private readonly CandidateList _coldest = new(samples.States);
    private readonly CandidateList _hottest = new(samples.States);
    private readonly StateOrder _byValue = new();
    private readonly int[] _bestFirst = new int[samples.States];
    private int _nextCold;

    /// <summary>What a move must earn, in accesses.</summary>
    /// <param name="moveCost">What it costs to do it, in accesses.</param>
    /// <param name="pingPong">Share of moves that were taken back of late.</param>
    /// <param name="growth"><see cref="Headroom.Growth"/>.</param>
    public static double Cost(double moveCost, double pingPong, double growth = 0) =>
        (Margin - ((Margin - MarginOfGrowing) * growth)) * (1 + (Brake * Math.Max(0, pingPong - Usual))) * moveCost;

    /// <summary>Fills a plan of which the figures are there already.</summary>
    /// <param name="plan">Receives the moves.</param>
    /// <param name="census">The round that ended.</param>
    /// <param name="residency">One <see cref="Residency"/> a page.</param>
    /// <param name="maxMoves">Most pages to move, both ways together.</param>
    /// <param name="spare">Pages to keep in mind for <see cref="DemoteNext"/>.</param>
    /// <param name="cost">What a move must earn.</param>
    public void Fill(MovePlan plan, RoundCensus census, ReadOnlySpan<byte> residency, long maxMoves, long spare, double cost)
    {
        long excess = Math.Max(0, plan.FastPages - plan.TargetPages);
        ReadOnlySpan<int> worstFirst = _byValue.Sort(census.Fast.Pages, census.Slow.Pages, model.Value);
        _hottest.Prepare(census.Slow, PromotableBestFirst(worstFirst, cost, census.Quarters), maxMoves);
        long swaps = _hottest.Count > 0 ? (maxMoves / 2) + PageSizes.BlockPages : 0;
        _coldest.Prepare(census.Fast, worstFirst, Math.Min(maxMoves, excess + swaps + spare));
        Collect(residency);
        Match(plan, maxMoves, cost);
    }

    /// <summary>Demotes what was next to go when the last plan was made, and was not accessed since,
    /// until the target is met.</summary>
    /// <param name="plan">Receives the demotions; its figures are there already.</param>
    /// <param name="maxMoves">Most pages to move.</param>
    public void DemoteNext(MovePlan plan, long maxMoves)
    {
        for (; _nextCold < _coldest.Count && plan.FastPages - plan.DemotedPages > plan.TargetPages; _nextCold++)
        {
            PageRun run = _coldest[_nextCold];
            if (plan.DemotedPages + run.Count > maxMoves)
                return;
            // Its mapping may have been broken up or joined since.
            bool isWhole = run.IsBlock == (sizes[run.First / PageSizes.BlockPages] == MappingSize.Size2M);
            if (isWhole && !history.IsHit(run.First))
                plan.Demote(run, model.Rate[_coldest.State(_nextCold)]);
        }
    }

    // The states that are worth a promotion at least where DRAM is to spare.
    private ReadOnlySpan<int> PromotableBestFirst(ReadOnlySpan<int> worstFirst, double cost, int quarters)
    {
        int count = 0;
        // On belief alone nothing comes in but what the first round itself has shown to go on, for which it must have quarters.
        if (!model.HasLearned && quarters < PageState.Quarters)
            return [];
        for (int i = worstFirst.Length - 1; i >= 0; i--)
        {
            int state = worstFirst[i];
            if (model.SpareValue[state] > cost && (model.HasLearned || PageState.IsGoingOn(state % PageState.Own)))
                _bestFirst[count++] = state;
        }
        return _bestFirst.AsSpan(0, count);
    }

    private void Collect(ReadOnlySpan<byte> residency)
    {
        for (int block = 0; block < sizes.Length && !(_coldest.IsFull && _hottest.IsFull); block++)
        {
            int first = block * PageSizes.BlockPages;
            if (sizes[block] == MappingSize.Size1G)
                continue;
            if (sizes[block] == MappingSize.Size2M)
            {
                Offer(residency[first], first, PageSizes.BlockPages);
                continue;
            }
            CollectPages(residency, first);
        }
    }

    private void CollectPages(ReadOnlySpan<byte> residency, int first)
    {
        bool apart = samples.HasRates(first / PageSizes.BlockPages);
        // As AlikeNeighbourhoods: a round comes by here for each page, and the last page of a block has a number.
        unchecked
        {
            for (int start = first; start < first + PageSizes.BlockPages; start += Neighbourhood.Pages)
            {
                bool alike = !apart && history.AlikeNeighbourhoods(residency, start, start + Neighbourhood.Pages) > 0;
                for (int page = start; page < start + Neighbourhood.Pages; page++)
                {
                    // Where one of them is not wanted, none of its like is.
                    if (!Offer(residency[page], page, 1) && alike)
                        break;
                }
            }
        }
    }

    private bool Offer(byte residency, int page, int pages)
    {
        CandidateList? list = residency switch
        {
            Residency.Fast => _coldest,
            Residency.Slow => _hottest,
            _ => null,
        };
        if (list is null)
            return false;
        int state = samples.StateOf(page);
        if (!list.Wants(state))
            return false;
        list.Add(state, new PageRun(page, pages));
        return true;
    }

    // Fits the candidates together: first what must go, then each promotion into room that is there or that demotions make.
    private void Match(MovePlan plan, long maxMoves, double cost)
    {
        long fast = plan.FastPages;
        long moves = 0;
        int cold = 0;
        for (; cold < _coldest.Count && fast > plan.TargetPages; cold++)
        {
            PageRun run = _coldest[cold];
            if (moves + run.Count > maxMoves)
                continue;
            plan.Demote(run, model.Rate[_coldest.State(cold)]);
            fast -= run.Count;
            moves += run.Count;
        }

        for (int hot = 0; hot < _hottest.Count; hot++)
        {
            PageRun run = _hottest[hot];
            long lacking = fast + run.Count - plan.TargetPages;
            long freed = 0;
            int end = cold;
            while (freed < lacking && end < _coldest.Count && Pays(_hottest.State(hot), _coldest.State(end), cost))
                freed += _coldest[end++].Count;
            if (freed < lacking || moves + freed + run.Count > maxMoves)
            {
                if (run.Count == 1)
                    break;
                // A page may still fit where a block does not.
                continue;
            }
            for (; cold < end; cold++)
                plan.Demote(_coldest[cold], model.Rate[_coldest.State(cold)]);
            plan.Promote(run, model.Rate[_hottest.State(hot)]);
            fast += run.Count - freed;
            moves += run.Count + freed;
        }
        _nextCold = cold;
    }

    // A swap is two moves.
    private bool Pays(int promoted, int demoted, double cost) =>
        model.Value[promoted] - model.Value[demoted] > (2 * cost) + Math.Min(Doubt * model.Rate[demoted], MostDoubt * cost);
}

/// <summary>
/// The page runs of one tier that may move this round, sorted by state from the end that moves first: a counting sort over the
/// tier's census that keeps no more pages than can move.
/// </summary>
/// <param name="states">Weighted states.</param>
internal sealed class CandidateList(int states)
{
    private readonly int[] _next = new int[states];
    private readonly int[] _end = new int[states];
    private int _left;
    private PageRun[] _runs = [];
    private ushort[] _states = [];

    public int Count { get; private set; }

    /// <summary>Whether every place is taken.</summary>
    public bool IsFull => _left == 0;

    public PageRun this[int index] => _runs[index];

    public int State(int index) => _states[index];

    /// <summary>Lays out the list.</summary>
    /// <param name="census">The tier's page runs by state.</param>
    /// <param name="order">The states to take, the one that moves first in front.</param>
    /// <param name="maxPages">Pages after which to stop.</param>
    public void Prepare(TierCensus census, ReadOnlySpan<int> order, long maxPages)
    {
        Array.Clear(_next);
        Array.Clear(_end);
        Count = 0;
        foreach (int state in order)
        {
            if (maxPages <= 0)
                break;
            _next[state] = Count;
            Count += (int)Math.Min(census.MovableRuns[state], maxPages);
            _end[state] = Count;
            maxPages -= census.MovablePages[state];
        }
        _left = Count;
        if (_runs.Length < Count)
        {
            _runs = new PageRun[Count];
            _states = new ushort[Count];
        }
    }

    /// <summary>Whether a place is left for a run of that state.</summary>
    public bool Wants(int state) => _next[state] < _end[state];

    /// <summary>Puts a run that <see cref="Wants"/> agreed to in its place.</summary>
    public void Add(int state, PageRun run)
    {
        int slot = _next[state]++;
        _runs[slot] = run;
        _states[slot] = (ushort)state;
        _left--;
    }
}
