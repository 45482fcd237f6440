// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Splitting;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Splitting;

namespace VirtTier.Agent;

/// <summary>Carries out which blocks of a guest the planner wants split or joined, and counts what came of it.</summary>
/// <param name="pid">The guest's process.</param>
/// <param name="calls">Splits and joins.</param>
/// <param name="progress">Called before each that takes long.</param>
internal sealed class GuestSplits(int pid, IHugePages calls, Action progress)
{
    // A split or a join takes some tens of microseconds to a millisecond: so it is some tens of milliseconds a round at most.
    private const int MostPerRound = 64;

    private readonly SplitPlan _plan = new();
    private readonly ulong[] _addresses = new ulong[MostPerRound];
    private readonly SplitOutcome[] _outcomes = new SplitOutcome[MostPerRound];
    private readonly long[] _unsplit = new long[Enum.GetValues<SplitOutcome>().Length];
    private readonly List<int> _torn = [];
    private int _tornNext; // the block to go on with
    private bool _begun;

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
    /// <param name="share">Most blocks that may be split at the same time, 0..1. With 0 those that were split are still joined
    /// when that is right.</param>
    /// <param name="tiers">One <see cref="Residency"/> a page; kept up to date.</param>
    /// <param name="hugePages">What each block is to the kernel; kept up to date. Those that are torn are split whatever
    /// <paramref name="share"/> is, and not counted.</param>
    public void Run(
        PlacementPlanner planner, GuestLayout layout, double share, Span<byte> tiers, Span<HugePage> hugePages)
    {
        SplitTorn(layout, hugePages);
        _begun |= share > 0;
        if (!_begun)
            return;
        planner.PlanSplits(tiers, new SplitLimits(share, MostPerRound), _plan);
        ReadOnlySpan<SplitOutcome> outcomes = Try(layout, _plan.Splits, calls.Split);
        for (int i = 0; i < outcomes.Length; i++)
        {
            int block = _plan.Splits[i];
            if (!Count(outcomes[i]))
            {
                planner.TakeRefusal(block, mayPass: outcomes[i] == SplitOutcome.Pinned);
                continue;
            }
            planner.TakeSplit(block);
            hugePages[block] = HugePage.None;
            Splits++;
        }
        outcomes = Try(layout, _plan.Joins, calls.Join);
        for (int i = 0; i < outcomes.Length; i++)
        {
            int block = _plan.Joins[i];
            if (!Count(outcomes[i]))
            {
                planner.TakeRefusal(block, mayPass: outcomes[i] == SplitOutcome.Pinned);
                continue;
            }
            planner.TakeJoin(block);
            hugePages[block] = HugePage.Whole;
            Joins++;
            // The kernel took the pages to where most of them were.
            Span<byte> pages = tiers.Slice(block * PageSizes.BlockPages, PageSizes.BlockPages);
            pages.Fill(pages.Count(Residency.Fast) > PageSizes.BlockPages / 2 ? Residency.Fast : Residency.Slow);
        }
    }

    // It costs the guest nothing, for which they are mapped by small entries already; and the kernel, which moves what is left of
    // such a page as one, gets the memory back that the guest gave away. Where it cannot be done the next ones are tried first.
    private void SplitTorn(GuestLayout layout, Span<HugePage> hugePages)
    {
        _torn.Clear();
        for (int i = 0; i < hugePages.Length && _torn.Count < MostPerRound; i++)
        {
            int block = (_tornNext + i) % hugePages.Length;
            if (hugePages[block] == HugePage.Torn)
                _torn.Add(block);
        }
        if (_torn.Count == 0)
            return;
        _tornNext = (_torn[^1] + 1) % hugePages.Length;
        ReadOnlySpan<SplitOutcome> outcomes = Try(layout, CollectionsMarshal.AsSpan(_torn), calls.Split);
        for (int i = 0; i < outcomes.Length; i++)
        {
            if (outcomes[i] == SplitOutcome.Done)
                hugePages[_torn[i]] = HugePage.None;
        }
    }

    // All in one call: it opens some files of the process.
    private ReadOnlySpan<SplitOutcome> Try(GuestLayout layout, ReadOnlySpan<int> blocks, Attempt attempt)
    {
        Span<SplitOutcome> outcomes = _outcomes.AsSpan(0, blocks.Length);
        if (blocks.IsEmpty)
            return outcomes;
        progress();
        for (int i = 0; i < blocks.Length; i++)
            _addresses[i] = layout.HvaOf(blocks[i] * PageSizes.BlockPages);
        attempt(pid, _addresses.AsSpan(0, blocks.Length), outcomes);
        return outcomes;
    }

    private bool Count(SplitOutcome outcome)
    {
        if (outcome == SplitOutcome.Done)
            return true;
        _unsplit[(int)outcome]++;
        return false;
    }

    private delegate void Attempt(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes);
}
