// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Planning;

/// <summary>
/// How often a domain has a round: more often while its hot set moves, less often while it stands still, and never so often
/// that looking at it costs more than its share of a CPU.
/// </summary>
/// <remarks>
/// It is the rounds that come apart, not the harvests within one: harvests that were further apart would find more pages
/// accessed, so neither what was learned of the domain would hold any more, nor could its rates be held against another's.
/// </remarks>
public sealed class RoundPacer
{
    // A round that moves more than a fiftieth of the fast pages follows a change; less than a five-hundredth is rest.
    private const double Restless = 0.02;
    private const double Restful = 0.002;

    // Changes are to be caught at once, but rest is trusted slowly.
    private const double Faster = 0.5;
    private const double Slower = 1.25;

    // What a harvest does not tell of, such as pages that are used less than once in it, a whole round sees: half a minute later
    // at most where rounds have a second.
    private const int MostPassed = 7;

    private readonly TimeSpan _shortest;
    private readonly TimeSpan _longest;
    private readonly double _cpuShare;
    private bool _isAtRest;

    /// <summary>A pacer that begins in haste.</summary>
    /// <param name="shortest">Least time between the beginnings of two rounds.</param>
    /// <param name="longest">Most time between them, unless the share of a CPU needs more.</param>
    /// <param name="cpuShare">Share of one CPU (0..1) that looking at the domain may use.</param>
    /// <exception cref="ArgumentOutOfRangeException">A time is not positive, or a share not within 0..1.</exception>
    public RoundPacer(TimeSpan shortest, TimeSpan longest, double cpuShare)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(shortest, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(longest, shortest);
        if (cpuShare is not (> 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(cpuShare), cpuShare, "A share of a CPU is more than 0 and at most 1.");
        _shortest = shortest;
        _longest = longest;
        _cpuShare = cpuShare;
        Interval = shortest;
    }

    /// <summary>Time from the beginning of one round to that of the next, passed over or not.</summary>
    public TimeSpan Interval { get; private set; }

    /// <summary>Rounds that were passed over since the last whole one.</summary>
    public int Passed { get; private set; }

    /// <summary>Time from the last whole round to the next, if no more are passed over.</summary>
    public TimeSpan WholeInterval => Interval * (1 + Passed);

    /// <summary>Whether the next round may be passed over, if its first harvest finds the guest as the last round did: that had
    /// next to nothing to move, rounds are as far apart as rest alone makes them, and a whole one is not due by then. Where
    /// they are further apart for what they cost, it is due sooner.</summary>
    public bool MayPass => _isAtRest && WholeInterval + Interval <= _longest * (MostPassed + 1);

    /// <summary>Whether so few of the pages of a domain tell of no change.</summary>
    /// <param name="pages">Pages that were moved, or are to be, or are used otherwise than before.</param>
    /// <param name="fastPages">Pages that the domain has in the fast tier.</param>
    public static bool IsRest(long pages, long fastPages) => pages / (double)Math.Max(1, fastPages) < Restful;

    /// <summary>Takes in that a round was passed over.</summary>
    public void Pass() => Passed++;

    /// <summary>Takes in a round.</summary>
    /// <param name="plan">What it decided.</param>
    /// <param name="cpuTime">CPU time that its harvests took, those of rounds passed over before it among them, and to look where
    /// its pages are and decide.</param>
    public void EndRound(MovePlan plan, TimeSpan cpuTime)
    {
        ArgumentNullException.ThrowIfNull(plan);
        long moved = plan.DemotedWithinPages + plan.DemotedPages + plan.PromotedPages;
        bool isRest = IsRest(moved, plan.FastPages);
        double factor = moved > Restless * Math.Max(1, plan.FastPages) ? Faster : isRest ? Slower : 1;
        double wanted = Interval.Ticks * factor;
        TimeSpan next = wanted >= _longest.Ticks ? _longest : TimeSpan.FromTicks(Math.Max((long)wanted, _shortest.Ticks));
        _isAtRest = isRest && next >= _longest;
        TimeSpan affordable = cpuTime / _cpuShare / (1 + Passed);
        Passed = 0;
        Interval = next > affordable ? next : affordable;
    }
}
