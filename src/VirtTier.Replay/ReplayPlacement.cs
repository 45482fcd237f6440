// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Replay;

/// <summary>Where each page of a replayed trace is, and the only way for a policy to change it.</summary>
public sealed class ReplayPlacement
{
    private readonly byte[] _residency;

    /// <summary>A guest of which nothing was touched yet.</summary>
    internal ReplayPlacement(int pages, int budget)
    {
        _residency = new byte[pages];
        Array.Fill(_residency, Residency.Absent);
        Budget = budget;
    }

    /// <summary>Most pages that may be fast.</summary>
    public int Budget { get; }

    /// <summary>Pages that are fast.</summary>
    public int Fast { get; private set; }

    /// <summary>Pages moved so far, both ways.</summary>
    public long Moves { get; private set; }

    /// <summary>One <see cref="Residency"/> a page.</summary>
    public ReadOnlySpan<byte> Residencies => _residency;

    /// <summary>Whether a page is in the fast tier.</summary>
    public bool IsFast(int page) => _residency[page] == Residency.Fast;

    /// <summary>Moves a fast page to the slow tier.</summary>
    /// <exception cref="InvalidOperationException">It is not fast.</exception>
    public void Demote(int page)
    {
        Require(page, Residency.Fast);
        _residency[page] = Residency.Slow;
        Fast--;
        Moves++;
    }

    /// <summary>Moves a slow page to the fast tier.</summary>
    /// <exception cref="InvalidOperationException">It is not slow, or the budget is used up.</exception>
    public void Promote(int page)
    {
        Require(page, Residency.Slow);
        if (Fast == Budget)
            throw new InvalidOperationException($"Page {page} cannot be promoted: all {Budget} pages of the budget are used.");
        _residency[page] = Residency.Fast;
        Fast++;
        Moves++;
    }

    /// <summary>Gives a page its memory: fast while there is room in the budget, else slow.</summary>
    internal void Allocate(int page)
    {
        Require(page, Residency.Absent);
        bool fast = Fast < Budget;
        _residency[page] = fast ? Residency.Fast : Residency.Slow;
        if (fast)
            Fast++;
    }

    private void Require(int page, byte residency)
    {
        if (_residency[page] != residency)
            throw new InvalidOperationException($"Page {page} has residency {_residency[page]}, not {residency}.");
    }
}
