// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>Pages that are to move, each along one of some routes.</summary>
/// <param name="Runs">As for <c>PageMover.MoveAsync</c>, most urgent first.</param>
/// <param name="Routes">The routes, of each the nodes, best first: each is for what has no room on those before it. A run whose
/// route has no node stays where it is.</param>
/// <param name="RouteOf">The route of each run, by its place in <paramref name="Routes"/>; empty if all go the first.</param>
public sealed record MoveOrder(
    ReadOnlyMemory<PageRun> Runs, IReadOnlyList<IReadOnlyList<int>> Routes, ReadOnlyMemory<ushort> RouteOf)
{
    /// <summary>Pages that are to move along one route.</summary>
    public MoveOrder(ReadOnlyMemory<PageRun> runs, IReadOnlyList<int> nodes)
        : this(runs, [nodes], default)
    {
    }

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
    /// <param name="demote">Pages to move to slow nodes.</param>
    /// <param name="promote">Pages to move to fast nodes, into the room that is there and that demotion makes.</param>
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

        Task<long> StepAsync(Side side, int count) => side.MoveNextAsync(mover, target, count, cancel);
    }

    /// <summary>Moves pages that change places within their tier.</summary>
    /// <param name="target">The guest.</param>
    /// <param name="order">The pages.</param>
    /// <param name="cancel">Ends the work after the current call.</param>
    public async Task<MoveReport> MoveAsync(MoveTarget target, MoveOrder order, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(order);
        var side = new Side(order);
        while (!cancel.IsCancellationRequested && side.CountFitting(StepPages) is > 0 and int count)
            await side.MoveNextAsync(mover, target, count, cancel).ConfigureAwait(false);
        return side.Report();
    }

    /// <summary>One direction: what is left of its order, and what became of the rest.</summary>
    private sealed class Side(MoveOrder order)
    {
        private readonly MoveOutcome[] _outcomes = new MoveOutcome[order.Runs.Length];
        private readonly MoveCounters _counters = new();
        // Of each route, what is wrong with it.
        private readonly string?[] _problems = new string?[order.Routes.Count];
        private int _done;

        /// <summary>How many of the next runs are no more than so many pages; none once something is wrong with each
        /// route.</summary>
        public int CountFitting(long pages)
        {
            int next = _done;
            if (!Enumerable.Range(0, _problems.Length).Any(IsOpen))
                return 0;
            while (next < order.Runs.Length)
            {
                pages -= order.Runs.Span[next].Count;
                if (pages < 0)
                    break;
                next++;
            }

            return next - _done;
        }

        /// <summary>Moves the next runs, route by route.</summary>
        /// <returns>Pages that moved.</returns>
        public async Task<long> MoveNextAsync(PageMover mover, MoveTarget target, int count, CancellationToken cancel)
        {
            if (order.RouteOf.IsEmpty)
                return await MoveAlikeAsync(mover, target, count, cancel).ConfigureAwait(false);
            long moved = 0;
            for (int route = 0; route < order.Routes.Count; route++)
            {
                ReadOnlyMemory<int> places = PlacesOf(route, count);
                PageRun[] runs = new PageRun[places.Length];
                for (int i = 0; i < runs.Length; i++)
                    runs[i] = order.Runs.Span[places.Span[i]];
                if (!IsOpen(route) || cancel.IsCancellationRequested)
                {
                    _counters.Add(MoveOutcome.NotTried, runs.Sum(run => run.Count));
                    continue;
                }
                if (runs.Length == 0)
                    continue;
                MoveReport report = await mover.MoveAsync(target, runs, order.Routes[route], cancel).ConfigureAwait(false);
                for (int i = 0; i < runs.Length; i++)
                    _outcomes[places.Span[i]] = report.Outcomes.Span[i];
                _counters.Add(report.Counters);
                _problems[route] = report.Problem;
                moved += report.Moved;
            }
            _done += count;
            return moved;
        }

        public MoveReport Report()
        {
            foreach (PageRun run in order.Runs.Span[_done..])
                _counters.Add(MoveOutcome.NotTried, run.Count);

            return new MoveReport(_outcomes, _counters, Array.Find(_problems, problem => problem is not null));
        }

        // Most hosts have one route, for which nothing need be sorted.
        private async Task<long> MoveAlikeAsync(PageMover mover, MoveTarget target, int count, CancellationToken cancel)
        {
            MoveReport report = await mover.MoveAsync(
                target, order.Runs.Slice(_done, count), order.Routes[0], cancel).ConfigureAwait(false);
            report.Outcomes.Span.CopyTo(_outcomes.AsSpan(_done));
            _counters.Add(report.Counters);
            _problems[0] = report.Problem;
            _done += count;
            return report.Moved;
        }

        private int[] PlacesOf(int route, int count)
        {
            var places = new List<int>(count);
            for (int place = _done; place < _done + count; place++)
            {
                if (order.RouteOf.Span[place] == route)
                    places.Add(place);
            }
            return [.. places];
        }

        private bool IsOpen(int route) => _problems[route] is null && order.Routes[route].Count > 0;
    }
}
