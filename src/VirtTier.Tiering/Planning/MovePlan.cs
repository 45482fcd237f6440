// SPDX-License-Identifier: Apache-2.0
using System.Buffers;
using VirtTier.Primitives;

namespace VirtTier.Tiering.Planning;

/// <summary>
/// What a round decided, and the figures behind it. Filled by <see cref="PlacementPlanner.EndRound"/>, or with demotions alone by
/// <see cref="PlacementPlanner.RestoreHeadroom"/>; reused, so its contents are valid until the next one.
/// </summary>
/// <remarks>
/// Carry out <see cref="Demotions"/> first, in order. If some of them fail, promote only while the domain's fast pages
/// stay at or below <see cref="TargetPages"/>: the promotions count on the demotions' room.
/// </remarks>
public sealed class MovePlan
{
    private readonly ArrayBufferWriter<PageRun> _demotions = new();
    private readonly ArrayBufferWriter<PageRun> _promotions = new();
    private double _movedRate;

    /// <summary>Pages and blocks to move to the slow tier, coldest first.</summary>
    public ReadOnlyMemory<PageRun> Demotions => _demotions.WrittenMemory;

    /// <summary>Pages and blocks to move to the fast tier, hottest first.</summary>
    public ReadOnlyMemory<PageRun> Promotions => _promotions.WrittenMemory;

    /// <summary>4 KiB pages in <see cref="Demotions"/>.</summary>
    public long DemotedPages { get; private set; }

    /// <summary>4 KiB pages in <see cref="Promotions"/>.</summary>
    public long PromotedPages { get; private set; }

    /// <summary>The budget the round was planned for, in pages.</summary>
    internal long BudgetPages { get; set; }

    /// <summary>Room kept free under the budget for pages that the guest will touch for the first time, in pages.</summary>
    internal long HeadroomPages { get; set; }

    /// <summary>Budget less headroom: fast pages once the plan is carried out are at most this many,
    /// if the move limit allowed it.</summary>
    public long TargetPages => BudgetPages - HeadroomPages;

    /// <summary>Pages in the fast tier before the moves.</summary>
    public long FastPages { get; internal set; }

    /// <summary>Pages in slow tiers before the moves.</summary>
    public long SlowPages { get; internal set; }

    /// <summary>Pages of the guest without memory behind them.</summary>
    internal long AbsentPages { get; set; }

    /// <summary>Pages that got memory since the round before.</summary>
    internal long BornPages { get; set; }

    /// <summary>Pages demoted since the round before, by <see cref="PlacementPlanner.RestoreHeadroom"/>.</summary>
    internal long DemotedWithinPages { get; set; }

    /// <summary>Resident pages in regular use: more likely than not to be accessed in the coming round.</summary>
    public long HotPages { get; internal set; }

    /// <summary>Of <see cref="HotPages"/>, those in the fast tier before the moves.</summary>
    public long HotFastPages { get; internal set; }

    /// <summary>
    /// Share (0..1) of the pages moved of late that had been moved the other way within eight rounds: it is to be low, and while
    /// it is not, moves have to earn more.
    /// </summary>
    public double PingPongShare { get; internal set; }

    /// <summary>What a page of DRAM is worth to the domain: the accesses a round expected of the last
    /// page that finds room.</summary>
    internal double MarginalValue { get; set; }

    /// <summary>Share (0..1) of the accesses that the present placement is expected to serve from the fast tier.</summary>
    public double FastShare => ShareOf(FastRate);

    /// <summary>The same once the plan is carried out.</summary>
    internal double PlannedFastShare => ShareOf(FastRate + _movedRate);

    /// <summary>Accesses a round expected of the fast pages before the moves.</summary>
    internal double FastRate { get; set; }

    /// <summary>Accesses expected of all pages in a round, as far as accessed bits tell them.</summary>
    public double Accesses { get; internal set; }

    internal void Clear()
    {
        _demotions.ResetWrittenCount();
        _promotions.ResetWrittenCount();
        DemotedPages = PromotedPages = 0;
        _movedRate = 0;
    }

    internal void Demote(PageRun run, double rate)
    {
        Append(_demotions, run);
        DemotedPages += run.Count;
        _movedRate -= rate * run.Count;
    }

    internal void Promote(PageRun run, double rate)
    {
        Append(_promotions, run);
        PromotedPages += run.Count;
        _movedRate += rate * run.Count;
    }

    private static void Append(ArrayBufferWriter<PageRun> runs, PageRun run)
    {
        runs.GetSpan(1)[0] = run;
        runs.Advance(1);
    }

    private double ShareOf(double rate) => Accesses > 0 ? rate / Accesses : 1;
}
