// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using VirtTier.Memory.Layout;
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>The state of one <see cref="PageMover.MoveAsync"/>: what is left to do, and what became of the rest.</summary>
internal sealed class MoveJob
{
    private readonly MoveOutcome[] _outcomes;
    private List<MoveItem> _todo;
    private List<MoveItem> _busy;
    private int _done;
    private bool _isRetry;

    public MoveJob(MoveTarget target, ReadOnlySpan<int> pages, ReadOnlySpan<MappingSize> sizes, int node)
    {
        Target = target;
        Node = node;
        _outcomes = new MoveOutcome[pages.Length];
        (_todo, _busy) = target.Lists;
        _busy.Clear();
        CollectionsMarshal.SetCount(_todo, pages.Length);
        Span<MoveItem> todo = CollectionsMarshal.AsSpan(_todo);
        int count = 0;
        BackedRange range = default;
        for (int first = 0; first < pages.Length;)
        {
            MoveItem item = MoveItem.At(first, pages, sizes);
            first += item.AskedCount;
            if (!range.Contains(item.Index))
                range = target.Layout.BackedAt(item.Index);
            if (!range.Contains(item.Index))
                Settle(item, MoveOutcome.Absent);
            else if (target.Pinned.Contains(item.Index))
                Settle(item, MoveOutcome.Pinned);
            else if (target.Placements.IsContested(item.Index))
                Settle(item, MoveOutcome.Contested);
            else
                todo[count++] = item;
        }

        CollectionsMarshal.SetCount(_todo, count);
    }

    public MoveTarget Target { get; }

    public int Node { get; }

    public MoveCounters Counters { get; } = new();

    public string? Problem { get; set; }

    /// <summary>What is left to do in this pass.</summary>
    public ReadOnlySpan<MoveItem> Todo => CollectionsMarshal.AsSpan(_todo)[_done..];

    /// <summary>True if something is.</summary>
    public bool HasTodo => _done < _todo.Count;

    /// <summary>True if pages were busy and may be tried again.</summary>
    public bool HasBusy => _busy.Count > 0;

    /// <summary>Settles what became of an item that was not moved.</summary>
    public void Settle(MoveItem item, MoveOutcome outcome)
    {
        _outcomes.AsSpan(item.FirstAsked, item.AskedCount).Fill(outcome);
        Counters.Add(outcome, item.Pages);
    }

    /// <summary>Settles items of one page size that were moved. Most often they are neighbours: each run of them is settled at once.</summary>
    public void SettleMoved(ReadOnlySpan<MoveItem> items)
    {
        for (int first = 0; first < items.Length;)
        {
            int next = first + 1;
            while (next < items.Length && items[next].Follows(items[next - 1]))
                next++;
            MoveItem last = items[next - 1];
            MoveItem begin = items[first];
            Target.Placements.Place(begin.Index, last.Index + last.Pages - begin.Index, Node);
            _outcomes.AsSpan(begin.FirstAsked..(last.FirstAsked + last.AskedCount)).Fill(MoveOutcome.Moved);
            first = next;
        }

        Counters.AddMoved((long)items.Length * items[0].Pages, items[0].IsLarge);
    }

    /// <summary>Takes the first items, which were dealt with one by one, off what is left to do.</summary>
    public void Advance(int count) => _done += count;

    /// <summary>Puts an item at the end of this pass once more.</summary>
    public void TryAgain(MoveItem item) => _todo.Add(item);

    /// <summary>Leaves an item for the next pass.</summary>
    public void Defer(MoveItem item) => _busy.Add(item);

    /// <summary>Begins the next pass, over what was busy in the one before.</summary>
    public void RetryBusy()
    {
        if (_busy.Count == 0)
            return;
        (_todo, _busy) = (_busy, _todo);
        _busy.Clear();
        _done = 0;
        _isRetry = true;
        Counters.AddRetried(_todo.Sum(item => (long)item.Pages));
    }

    /// <summary>Settles what is left of this pass.</summary>
    public void SettleTodo(MoveOutcome outcome)
    {
        foreach (MoveItem item in Todo)
            Settle(item, outcome);
        _done = _todo.Count;
    }

    /// <summary>Settles all that is left when the work is cancelled.</summary>
    public void Cancel()
    {
        SettleTodo(_isRetry ? MoveOutcome.Busy : MoveOutcome.NotTried);
        SettleBusy(MoveOutcome.Busy);
    }

    /// <summary>Settles what is still busy; pinned pages are set aside.</summary>
    public void SettleBusy(MoveOutcome outcome)
    {
        foreach (MoveItem item in _busy)
        {
            Settle(item, outcome);
            if (outcome == MoveOutcome.Pinned)
                Target.Pinned.Add(item.Index);
        }

        _busy.Clear();
    }

    public MoveReport Report() => new(_outcomes, Counters, Problem);
}
