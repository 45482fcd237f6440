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
    private const double MarginOfGrowing = 1.25;

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
    // Of the coldest, the first page and the first block that are left.
    private int _nextPage;
    private int _nextBlock;

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
        long swaps = _hottest.Count > 0 ? maxMoves / 2 : 0;
        // And a block more, so that there is a choice between it and pages.
        _coldest.Prepare(census.Fast, worstFirst, Math.Min(maxMoves, excess + swaps + spare + PageSizes.BlockPages));
        Collect(residency);
        Match(plan, maxMoves, cost);
    }

    /// <summary>Demotes what was next to go when the last plan was made, and was not accessed since,
    /// until the target is met.</summary>
    /// <param name="plan">Receives the demotions; its figures are there already.</param>
    /// <param name="maxMoves">Most pages to move.</param>
    public void DemoteNext(MovePlan plan, long maxMoves)
    {
        while (Math.Min(_nextPage, _nextBlock) is var next && next < _coldest.Count && FastAfter(plan) > plan.TargetPages)
        {
            PageRun run = _coldest[next];
            if (plan.DemotedPages + run.Count > maxMoves)
                return;
            // Its mapping may have been broken up or joined since.
            bool isWhole = run.IsBlock == (sizes[run.First / PageSizes.BlockPages] == MappingSize.Size2M);
            if (isWhole && !MayStay(plan, run) && !history.IsHit(run.First))
                Demote(plan, run.IsBlock);
            else
                Advance(run.IsBlock);
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

    // Fits the candidates together: first what must go, then what is worth it into room that is there or that demotions make.
    private void Match(MovePlan plan, long maxMoves, double cost)
    {
        (_nextPage, _nextBlock) = (NextCold(0, isBlock: false), NextCold(0, isBlock: true));
        DemoteExcess(plan, maxMoves, cost);
        // Of pages and blocks, whether the coldest ones of either may have to make room: what is worth less after them will not
        // displace what they did not.
        Span<bool> pagesTakeFrom = [true, true];
        Span<bool> blocksTakeFrom = [true, true];
        for (int hot = 0; hot < _hottest.Count;)
        {
            PageRun run = _hottest[hot];
            int end = Promote(plan, hot, run.IsBlock ? blocksTakeFrom : pagesTakeFrom, maxMoves, cost);
            hot = Math.Max(end, hot + 1);
        }
    }

    private void DemoteExcess(MovePlan plan, long maxMoves, double cost)
    {
        while (FastAfter(plan) - plan.TargetPages is > 0 and var excess && Math.Min(_nextPage, _nextBlock) < _coldest.Count)
        {
            bool isBlock = _nextBlock < _nextPage;
            long count = 1;
            if (isBlock && !IsBlockToGo(plan, maxMoves, cost))
                (isBlock, count) = (false, Math.Min(excess, PageSizes.BlockPages));
            for (; count > 0; count--)
            {
                int next = isBlock ? _nextBlock : _nextPage;
                if (next == _coldest.Count || MovesOf(plan) + _coldest[next].Count > maxMoves)
                    return;
                Demote(plan, isBlock);
            }
        }
    }

    // Whether the coldest block goes, and not the coldest pages: if it is more than what must go, it may be worth more.
    private bool IsBlockToGo(MovePlan plan, long maxMoves, double cost)
    {
        PageRun block = _coldest[_nextBlock];
        if (MayStay(plan, block) || MovesOf(plan) + block.Count > maxMoves)
            return false;
        long excess = FastAfter(plan) - MostWithBlocks(plan);
        if (excess >= block.Count)
            return true;
        Displaced pages = Displace(excess, isForBlocks: false, cost);
        return pages.Pages < excess || pages.Loss > Displace(excess, isForBlocks: true, cost).Loss;
    }

    // Promotes a run, and with it what else finds room where more is made than it needs. Gives the first that is left; itself if
    // it does not pay.
    private int Promote(MovePlan plan, int hot, Span<bool> mayTakeFrom, long maxMoves, double cost)
    {
        PageRun run = _hottest[hot];
        long most = MostWithBlocks(plan);
        long fast = FastAfter(plan);
        long lacking = fast + run.Count - (run.IsBlock ? most : Math.Max(plan.TargetPages, Math.Min(fast, most)));
        if (lacking <= 0)
            return Swap(plan, hot, lacking: 0, isForBlocks: false, maxMoves, cost);
        bool isForBlocks = _nextBlock < _nextPage;
        for (int i = 0; i < mayTakeFrom.Length; i++, isForBlocks = !isForBlocks)
        {
            ref bool may = ref mayTakeFrom[isForBlocks ? 1 : 0];
            int end = may ? Swap(plan, hot, lacking, isForBlocks, maxMoves, cost) : hot;
            if (end > hot)
                return end;
            may = false;
        }
        return hot;
    }

    // What comes in and what goes out are held against each other as a whole: a page against a page, a block against as many
    // pages as have to go, as many pages as find room against a block.
    private int Swap(MovePlan plan, int hot, long lacking, bool isForBlocks, long maxMoves, double cost)
    {
        (int end, long freed, double loss, int worst) = Displace(lacking, isForBlocks, cost);
        PageRun first = _hottest[hot];
        long room = first.Count + Math.Max(0, freed - lacking);
        long come = 0;
        double gain = 0;
        int last = hot;
        for (; last < _hottest.Count && come + _hottest[last].Count <= room; last++)
        {
            come += _hottest[last].Count;
            gain += _hottest[last].Count * (model.Value[_hottest.State(last)] - cost);
        }
        bool pays = freed == 0 || gain > loss;
        // How much of a block is in use is a rough guess: it displaces no page that is worth as much as any of its own.
        if (first.IsBlock && !isForBlocks && freed > 0)
            pays &= model.Value[_hottest.State(hot)] - model.Value[worst] > (2 * cost) + DoubtOf(worst, cost);
        if (freed < lacking || !pays || MovesOf(plan) + freed + come > maxMoves)
            return hot;
        while ((isForBlocks ? _nextBlock : _nextPage) < end)
            Demote(plan, isForBlocks);
        for (; hot < last; hot++)
            plan.Promote(_hottest[hot], model.Rate[_hottest.State(hot)]);
        return last;
    }

    // The coldest pages, or blocks, that make so much room.
    private Displaced Displace(long room, bool isForBlocks, double cost)
    {
        long pages = 0;
        double loss = 0;
        int worst = 0;
        int end = isForBlocks ? _nextBlock : _nextPage;
        for (; pages < room && end < _coldest.Count; end = NextCold(end + 1, isForBlocks))
        {
            worst = _coldest.State(end);
            pages += _coldest[end].Count;
            loss += _coldest[end].Count * (model.Value[worst] + cost + DoubtOf(worst, cost));
        }
        return new Displaced(end, pages, loss, worst);
    }

    private double DoubtOf(int state, double cost) => Math.Min(Doubt * model.Rate[state], MostDoubt * cost);

    // The coldest page or block that is left.
    private void Demote(MovePlan plan, bool isBlock)
    {
        int cold = isBlock ? _nextBlock : _nextPage;
        plan.Demote(_coldest[cold], model.Rate[_coldest.State(cold)]);
        Advance(isBlock);
    }

    private void Advance(bool isBlock)
    {
        ref int next = ref isBlock ? ref _nextBlock : ref _nextPage;
        next = NextCold(next + 1, isBlock);
    }

    private int NextCold(int from, bool isBlock)
    {
        while (from < _coldest.Count && _coldest[from].IsBlock != isBlock)
            from++;
        return from;
    }

    private static long FastAfter(MovePlan plan) => plan.FastPages + plan.PromotedPages - plan.DemotedPages;

    private static long MovesOf(MovePlan plan) => plan.PromotedPages + plan.DemotedPages;

    // Room that is kept free for pages to be born is no hard limit: for less than half a block of it, no block goes or stays
    // out. Where the budget is a few blocks, there would be one less for a handful of pages.
    private static long MostWithBlocks(MovePlan plan) =>
        Math.Min(plan.BudgetPages, plan.TargetPages + (PageSizes.BlockPages / 2));

    private static bool MayStay(MovePlan plan, PageRun run) => run.IsBlock && FastAfter(plan) <= MostWithBlocks(plan);

    // The first that is left, their pages, what they lose, and the state of the one that is worth most.
    private readonly record struct Displaced(int End, long Pages, double Loss, int Worst);
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
