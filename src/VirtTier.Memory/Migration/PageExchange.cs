// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>Pages that are to move to one of some nodes.</summary>
/// <param name="Runs">As for <c>PageMover.MoveAsync</c>, most urgent first.</param>
/// <param name="Nodes">The nodes, best first: each is for what has no room on those before it.</param>
public sealed record MoveOrder(ReadOnlyMemory<PageRun> Runs, IReadOnlyList<int> Nodes)
{
    /// <summary>Pages that are to move to one node.</summary>
    public MoveOrder(ReadOnlyMemory<PageRun> runs, int node)
        : this(runs, [node])
    {
    }
}

/// <summary>What a <see cref="PageExchange"/> did.</summary>
/// <param name="Demoted">What became of the pages to be demoted.</param>
/// <param name="Promoted">What became of the pages to be promoted; those for which no room was made were not tried.</param>
public sealed record ExchangeReport(MoveReport Demoted, MoveReport Promoted);

/// <summary>
/// Demotes and promotes by turns, in small steps: the fast node is at no time above the room it is given, and the slow node takes
/// no more than a step more than it will hold at the end, so an exchange works where neither has room for all of it.
/// </summary>
public sealed class PageExchange(PageMover mover)
{
    // 16 MiB a turn: enough for a few calls of full length, little beside a budget.
    private const int StepPages = 4096;

    /// <summary>Does the exchange.</summary>
    /// <param name="target">The guest.</param>
    /// <param name="demote">Pages to move to a slow node.</param>
    /// <param name="promote">Pages to move to the fast node, into the room that is there and that demotion makes.</param>
    /// <param name="room">Pages that the fast node may take before anything is demoted; below zero if it has too many.</param>
    /// <param name="cancel">Ends the work after the current call.</param>
    public async Task<ExchangeReport> RunAsync(
        MoveTarget target,
        MoveOrder demote,
        MoveOrder promote,
        long room,
        CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(demote);
        ArgumentNullException.ThrowIfNull(promote);
        var down = new Side(demote);
        var up = new Side(promote);
        while (!cancel.IsCancellationRequested)
        {
            int count = up.CountFitting(Math.Min(room, StepPages));
            if (count > 0)
            {
                room -= await StepAsync(up, count).ConfigureAwait(false);
                continue;
            }

            count = down.CountFitting(StepPages);
            if (count == 0)
                break;
            room += await StepAsync(down, count).ConfigureAwait(false);
        }

        return new ExchangeReport(down.Report(), up.Report());

        async Task<long> StepAsync(Side side, int count)
        {
            MoveReport report = await mover.MoveAsync(
                target, side.Next(count), side.Nodes, cancel).ConfigureAwait(false);
            side.Add(report);
            return report.Moved;
        }
    }

    /// <summary>One direction: what is left of its order, and what became of the rest.</summary>
    private sealed class Side(MoveOrder order)
    {
        private readonly MoveOutcome[] _outcomes = new MoveOutcome[order.Runs.Length];
        private readonly MoveCounters _counters = new();
        private int _done;
        private string? _problem;

        public IReadOnlyList<int> Nodes => order.Nodes;

        /// <summary>How many of the next runs are no more than so many pages; none once something is wrong.</summary>
        public int CountFitting(long pages)
        {
            int next = _done;
            while (_problem is null && next < order.Runs.Length)
            {
                pages -= order.Runs.Span[next].Count;
                if (pages < 0)
                    break;
                next++;
            }

            return next - _done;
        }

        public ReadOnlyMemory<PageRun> Next(int count) => order.Runs.Slice(_done, count);

        public void Add(MoveReport report)
        {
            report.Outcomes.Span.CopyTo(_outcomes.AsSpan(_done));
            _done += report.Outcomes.Length;
            _counters.Add(report.Counters);
            _problem = report.Problem;
        }

        public MoveReport Report()
        {
            foreach (PageRun run in order.Runs.Span[_done..])
                _counters.Add(MoveOutcome.NotTried, run.Count);

            return new MoveReport(_outcomes, _counters, _problem);
        }
    }
}
