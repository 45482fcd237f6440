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

    private readonly TimeSpan _shortest;
    private readonly TimeSpan _longest;
    private readonly double _cpuShare;

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

    /// <summary>Time from the beginning of one round to that of the next.</summary>
    public TimeSpan Interval { get; private set; }

    /// <summary>Takes in a round.</summary>
    /// <param name="plan">What it decided.</param>
    /// <param name="cpuTime">CPU time that its harvests took, and to look where its pages are and decide.</param>
    public void EndRound(MovePlan plan, TimeSpan cpuTime)
    {
        ArgumentNullException.ThrowIfNull(plan);
        double moved = (plan.DemotedWithinPages + plan.DemotedPages + plan.PromotedPages) / (double)Math.Max(1, plan.FastPages);
        double factor = moved > Restless ? Faster : moved < Restful ? Slower : 1;
        double wanted = Interval.Ticks * factor;
        TimeSpan next = wanted >= _longest.Ticks ? _longest : TimeSpan.FromTicks(Math.Max((long)wanted, _shortest.Ticks));
        TimeSpan affordable = cpuTime / _cpuShare;
        Interval = next > affordable ? next : affordable;
    }
}
