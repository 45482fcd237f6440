// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Tiering.Planning;

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
