// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using VirtTier.Memory.Layout;
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>The state of one <c>PageMover.MoveAsync</c>: what is left to do, and what became of the rest.</summary>
/// <remarks>A run is known by its position in the order, which is where its outcome goes.</remarks>
internal sealed class MoveJob
{
    private readonly ReadOnlyMemory<PageRun> _runs;
    private readonly MoveOutcome[] _outcomes;
    private List<int> _todo;
    private List<int> _busy;
    private int _done;
    private bool _isRetry;
    private int _node;

    public MoveJob(MoveTarget target, ReadOnlyMemory<PageRun> runs, IReadOnlyList<int> nodes)
    {
        Target = target;
        Nodes = nodes;
        _runs = runs;
        _outcomes = new MoveOutcome[runs.Length];
        (_todo, _busy) = target.Lists;
        _busy.Clear();
        CollectionsMarshal.SetCount(_todo, runs.Length);
        Span<int> todo = CollectionsMarshal.AsSpan(_todo);
        int count = 0;
        BackedRange range = default;
        for (int position = 0; position < runs.Length; position++)
        {
            PageRun run = Runs[position];
            if (run.Count != 1 && !(run.IsBlock && run.First % PageSizes.BlockPages == 0))
                throw new ArgumentException($"{run} is neither one page nor one block", nameof(runs));
            if (!range.Contains(run.First))
                range = target.Layout.BackedAt(run.First);
            if (!range.Contains(run.First))
                Settle(position, MoveOutcome.Absent);
            else if (target.Pinned.Contains(run.First))
                Settle(position, MoveOutcome.Pinned);
            else if (target.Drift.IsContested(run.First))
                Settle(position, MoveOutcome.Contested);
            else
                todo[count++] = position;
        }

        CollectionsMarshal.SetCount(_todo, count);
    }

    public MoveTarget Target { get; }

    /// <summary>The nodes that pages may go to, best first.</summary>
    public IReadOnlyList<int> Nodes { get; }

    /// <summary>The one that they go to now.</summary>
    public int Node => Nodes[_node];

    /// <summary>True if there is another for what finds no room on this one.</summary>
    public bool HasNextNode => _node + 1 < Nodes.Count;

    public MoveCounters Counters { get; } = new();

    public string? Problem { get; set; }

    /// <summary>All that was asked for.</summary>
    public ReadOnlySpan<PageRun> Runs => _runs.Span;

    /// <summary>What is left to do in this pass: positions in <see cref="Runs"/>.</summary>
    public ReadOnlySpan<int> Todo => CollectionsMarshal.AsSpan(_todo)[_done..];

    /// <summary>True if something is.</summary>
    public bool HasTodo => _done < _todo.Count;

    /// <summary>True if pages were busy and may be tried again.</summary>
    public bool HasBusy => _busy.Count > 0;

    /// <summary>What is left goes to the next node.</summary>
    public void NextNode() => _node++;

    /// <summary>Settles what became of a run that was not moved.</summary>
    public void Settle(int position, MoveOutcome outcome)
    {
        _outcomes[position] = outcome;
        Counters.Add(outcome, Runs[position].Count);
    }

    /// <summary>Settles runs of one size that were moved. Most often they are neighbours, which are settled at once.</summary>
    public void SettleMoved(ReadOnlySpan<int> positions)
    {
        ReadOnlySpan<PageRun> runs = Runs;
        for (int first = 0; first < positions.Length;)
        {
            int begin = positions[first];
            int last = begin;
            int next = first + 1;
            while (next < positions.Length && positions[next] == last + 1 && runs[last + 1].First == runs[last].End)
            {
                last++;
                next++;
            }

            Target.Drift.Place(runs[begin].First, runs[last].End - runs[begin].First, Node);
            _outcomes.AsSpan(begin, last + 1 - begin).Fill(MoveOutcome.Moved);
            first = next;
        }

        PageRun any = runs[positions[0]];
        Counters.AddMoved((long)positions.Length * any.Count, any.IsBlock);
    }

    /// <summary>Takes the first runs, which were dealt with one by one, off what is left to do.</summary>
    public void Advance(int count) => _done += count;

    /// <summary>Puts a run at the end of this pass once more.</summary>
    public void TryAgain(int position) => _todo.Add(position);

    /// <summary>Leaves a run for the next pass.</summary>
    public void Defer(int position) => _busy.Add(position);

    /// <summary>Begins the next pass, over what was busy in the one before.</summary>
    public void RetryBusy()
    {
        if (_busy.Count == 0)
            return;
        (_todo, _busy) = (_busy, _todo);
        _busy.Clear();
        _done = 0;
        _isRetry = true;
        foreach (int position in _todo)
            Counters.AddRetried(Runs[position].Count);
    }

    /// <summary>Settles what is left of this pass.</summary>
    public void SettleTodo(MoveOutcome outcome)
    {
        foreach (int position in Todo)
            Settle(position, outcome);
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
        foreach (int position in _busy)
        {
            Settle(position, outcome);
            if (outcome == MoveOutcome.Pinned)
                Target.Pinned.Add(Runs[position].First);
        }

        _busy.Clear();
    }

    public MoveReport Report() => new(_outcomes, Counters, Problem);
}
