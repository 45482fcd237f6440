// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.Planning;

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
