// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Planning;

// Within a tier, which pages should be on another node of it; between slow tiers, which should be one further up or down.
public sealed partial class PlacementPlanner
{
    // Rounds for which a page in regular use is taken to stay so: its heat is an average over as many.
    private const double Horizon = 8;

    /// <summary>Decides, after <see cref="EndRound"/>, which hot pages are to move nearer to where they are used: those that earn
    /// the move within some rounds, the hottest first.</summary>
    /// <param name="away">One byte a page: 0 for one that is to stay, else the place in <paramref name="gains"/> of what it would
    /// gain.</param>
    /// <param name="gains">What an access gains, as a part of what it gains by being fast rather than slow.</param>
    /// <param name="maxMoves">Most pages to move.</param>
    /// <param name="runs">Filled with the pages and blocks.</param>
    /// <returns>Hot pages that are away, whether they move or not.</returns>
    /// <exception cref="ArgumentException">A span has the wrong length, or a number is negative.</exception>
    public long PickHot(ReadOnlySpan<byte> away, ReadOnlySpan<double> gains, long maxMoves, List<PageRun> runs)
    {
        double[] gain = gains.ToArray();
        double cost = MoveMatcher.Cost(_moveCost, _pingPong.Share);
        return Pick(
            away, maxMoves, runs, hottestFirst: true, (state, kind) => gain[kind] > 0 && IsHot(state),
            (state, kind) => Earns(state, gain[kind], cost));
    }

    /// <summary>Decides, after <see cref="EndRound"/>, which pages of slower tiers are to go one tier up: those that earn twice
    /// the move within some rounds, for a colder page may have to make room; the hottest first.</summary>
    /// <param name="kinds">One byte a page: 0 for one that is to stay, else the place in <paramref name="gains"/> of what it
    /// would gain.</param>
    /// <param name="gains">What an access gains, as a part of what it gains by being fast rather than slow.</param>
    /// <param name="maxMoves">Most pages to move.</param>
    /// <param name="runs">Filled with the pages and blocks.</param>
    /// <exception cref="ArgumentException">A span has the wrong length, or a number is negative.</exception>
    public void PickWarm(ReadOnlySpan<byte> kinds, ReadOnlySpan<double> gains, long maxMoves, List<PageRun> runs)
    {
        double[] gain = gains.ToArray();
        double cost = 2 * MoveMatcher.Cost(_moveCost, _pingPong.Share);
        Pick(kinds, maxMoves, runs, hottestFirst: true, (state, kind) => Earns(state, gain[kind], cost), (_, _) => true);
    }

    /// <summary>Decides, after <see cref="EndRound"/>, which cold pages are to make room in their tier,
    /// the coldest first.</summary>
    /// <param name="kinds">One byte a page: 0 for one that is to stay.</param>
    /// <param name="isCrowded">Whether a page of that kind is to make room.</param>
    /// <param name="maxMoves">Most pages to move.</param>
    /// <param name="runs">Filled with the pages and blocks.</param>
    /// <param name="gain">A page stays for which one access more gains this (see <see cref="PickWarm"/>), if it would earn
    /// a move; 0 for none to stay for that.</param>
    /// <exception cref="ArgumentException">A span has the wrong length, or a number is negative.</exception>
    public void PickCold(
        ReadOnlySpan<byte> kinds, Func<int, bool> isCrowded, long maxMoves, List<PageRun> runs, double gain = 0)
    {
        double cost = MoveMatcher.Cost(_moveCost, _pingPong.Share);
        Pick(
            kinds, maxMoves, runs, hottestFirst: false,
            (state, kind) => isCrowded(kind) && !IsHot(state) && !Earns(state, gain, cost),
            (_, _) => _model.HasLearned);
    }

    private bool Earns(int state, double gain, double cost) => _model.HasLearned && _model.Rate[state] * gain * Horizon > cost;

    private bool IsHot(int state) => _model.ChanceOfAccess(state) >= 0.5;

    private long Pick(
        ReadOnlySpan<byte> kinds, long maxMoves, List<PageRun> runs, bool hottestFirst,
        Func<int, int, bool> counts, Func<int, int, bool> pays)
    {
        ArgumentNullException.ThrowIfNull(runs);
        RequireLength(kinds.Length, Pages, nameof(kinds));
        ArgumentOutOfRangeException.ThrowIfNegative(maxMoves);
        runs.Clear();
        // Most often there are none.
        if (!kinds.ContainsAnyExcept((byte)0))
            return 0;

        TierCensus census = new(_samples.States);
        long counted = 0;
        for (int page = 0; (page = NextOf(kinds, page)) < Pages;)
        {
            (int state, int pages) = RunAt(page);
            if (counts(state, kinds[page]))
            {
                counted += pages;
                if (pays(state, kinds[page]))
                    census.Add(state, 1, pages, movable: true);
            }
            page += pages;
        }

        int[] order = new StateOrder().Sort(census.Pages, new long[_samples.States], _model.Rate).ToArray();
        if (hottestFirst)
            Array.Reverse(order);
        CandidateList list = new(_samples.States);
        list.Prepare(census, order, maxMoves);
        for (int page = 0; !list.IsFull && (page = NextOf(kinds, page)) < Pages;)
        {
            (int state, int pages) = RunAt(page);
            if (list.Wants(state) && counts(state, kinds[page]) && pays(state, kinds[page]))
                list.Add(state, new PageRun(page, pages));
            page += pages;
        }
        long left = maxMoves;
        for (int i = 0; i < list.Count; i++)
        {
            left -= list[i].Count;
            if (left >= 0)
                runs.Add(list[i]);
        }
        return counted;
    }

    // The first page from there on that is of a kind; those mapped by 1 GiB are never moved.
    private int NextOf(ReadOnlySpan<byte> kinds, int page)
    {
        while (page < Pages)
        {
            int next = kinds[page..].IndexOfAnyExcept((byte)0);
            if (next < 0)
                return Pages;
            page += next;
            int block = page / PageSizes.BlockPages;
            if (_sizes[block] == MappingSize.Size1G || (_sizes[block] == MappingSize.Size2M && page % PageSizes.BlockPages != 0))
                page = (block + 1) * PageSizes.BlockPages;
            else
                return page;
        }
        return Pages;
    }

    private (int State, int Pages) RunAt(int page)
    {
        int block = page / PageSizes.BlockPages;
        return (_samples.StateOf(page),
            _sizes[block] == MappingSize.Size2M ? PageSizes.BlockPages : 1);
    }
}
