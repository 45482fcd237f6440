// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;
using VirtTier.Memory.Splitting;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Splitting;

namespace VirtTier.Agent;

/// <summary>Carries out which blocks of a guest the planner wants split or joined, and counts what came of it.</summary>
/// <param name="pid">The guest's process.</param>
/// <param name="calls">Splits and joins.</param>
/// <param name="share">Most of its blocks that may be split at the same time, 0..1.</param>
/// <param name="progress">Called before each that takes long.</param>
internal sealed class GuestSplits(int pid, IHugePages calls, double share, Action progress)
{
    // A split or a join takes some tens of microseconds to a millisecond: so it is some ten milliseconds a round at most.
    private const int MostPerRound = 32;
    private const int BlockBytes = PageSizes.BlockPages * PageSizes.PageBytes;

    private readonly SplitPlan _plan = new();
    private readonly ulong[] _address = new ulong[1];
    private readonly SplitOutcome[] _outcome = new SplitOutcome[1];
    private readonly long[] _unsplit = new long[Enum.GetValues<SplitOutcome>().Length];

    /// <summary>Splits so far.</summary>
    public long Splits { get; private set; }

    /// <summary>Joins so far.</summary>
    public long Joins { get; private set; }

    /// <summary>Blocks that could not be split or joined, by reason.</summary>
    public IReadOnlyDictionary<string, long> Unsplit => Enum.GetValues<SplitOutcome>()
        .Where(outcome => _unsplit[(int)outcome] > 0).ToDictionary(outcome => outcome.ToString(), o => _unsplit[(int)o]);

    /// <summary>Does it, before the round is ended.</summary>
    /// <param name="planner">Decides, and is told.</param>
    /// <param name="layout">Where blocks lie.</param>
    /// <param name="tiers">One <see cref="Residency"/> a page; kept up to date.</param>
    public void Run(PlacementPlanner planner, GuestLayout layout, Span<byte> tiers)
    {
        planner.PlanSplits(tiers, new SplitLimits(share, MostPerRound), _plan);
        foreach (int block in _plan.Splits)
        {
            if (!Try(layout, block, calls.Split))
            {
                planner.TakeRefusal(block);
                continue;
            }
            planner.TakeSplit(block);
            Splits++;
        }
        foreach (int block in _plan.Joins)
        {
            if (!Try(layout, block, calls.Join))
            {
                planner.TakeRefusal(block);
                continue;
            }
            planner.TakeJoin(block);
            Joins++;
            // The kernel took the pages to where most of them were.
            Span<byte> pages = tiers.Slice(block * PageSizes.BlockPages, PageSizes.BlockPages);
            pages.Fill(pages.Count(Residency.Fast) > PageSizes.BlockPages / 2 ? Residency.Fast : Residency.Slow);
        }
    }

    private bool Try(GuestLayout layout, int block, Attempt attempt)
    {
        progress();
        _address[0] = layout.HvaOf(block * PageSizes.BlockPages);
        // The guest's mapping is of 2 MiB only where the host's is; what lies otherwise is left alone.
        if (_address[0] % BlockBytes == 0)
            attempt(pid, _address, _outcome);
        else
            _outcome[0] = SplitOutcome.Refused;
        if (_outcome[0] == SplitOutcome.Done)
            return true;
        _unsplit[(int)_outcome[0]]++;
        return false;
    }

    private delegate void Attempt(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes);
}
