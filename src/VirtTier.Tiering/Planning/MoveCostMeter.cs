// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Planning;

/// <summary>
/// What it costs to move a page of a domain, in accesses that could have been fast (<see cref="PlacementPlanner.MoveCost"/>),
/// from how long moves took and how busy the guest is.
/// </summary>
/// <remarks>
/// An access that a bit shows stands for all that the guest did with the page in a harvest, so its worth is a part of the
/// guest's own time: what slow memory would take of that, divided by the accesses. A move is then worth as many of them as
/// fit into its own time.
/// </remarks>
public sealed class MoveCostMeter
{
    // The part of its time that a guest loses on slow memory alone. Of 158 workloads on memory of 1.8 times the latency, a
    // quarter lost nothing, half less than 5 %, a fifth more than 25 % (Li et al., Pond, ASPLOS 2023).
    private const double SlowLoss = 0.1;

    // Times are of the wall clock, and what a bit stands for is a guess: measurements move the cost this far, and no further.
    private const double Least = 0.25;
    private const double Most = 4;

    // The average looks back over about ten rounds, as the planner does.
    private const double NewWeight = 0.1;

    private double _secondsOfPages;
    private double _secondsOfBlocks;

    /// <summary>The cost, in accesses a page; 1 until it was measured.</summary>
    public double Cost { get; private set; } = 1;

    /// <summary>The time that moving a page takes, in seconds; 0 until it was measured.</summary>
    public double SecondsEach { get; private set; }

    /// <summary>Takes in pages that were moved one by one, and the time that took.</summary>
    public void ObservePages(long pages, TimeSpan time) => Blend(ref _secondsOfPages, pages, time);

    /// <summary>Takes in pages that were moved in blocks, and the time that took.</summary>
    public void ObserveBlocks(long pages, TimeSpan time) => Blend(ref _secondsOfBlocks, pages, time);

    /// <summary>Works out the cost for a round.</summary>
    /// <param name="guestTime">CPU time, of all its CPUs together, that the guest used while a
    /// round's harvests looked at it.</param>
    /// <param name="accesses">Accesses that they found, as <see cref="MovePlan.Accesses"/> has them.</param>
    /// <param name="blockShare">Share (0..1) of the guest's memory that is mapped in blocks, which move as one.</param>
    public void Update(TimeSpan guestTime, double accesses, double blockShare)
    {
        // Until pages of a size were moved, those of the other size have to speak for them.
        double ofPages = _secondsOfPages > 0 ? _secondsOfPages : _secondsOfBlocks;
        double ofBlocks = _secondsOfBlocks > 0 ? _secondsOfBlocks : _secondsOfPages;
        SecondsEach = (ofPages * (1 - blockShare)) + (ofBlocks * blockShare);
        double worth = SlowLoss * guestTime.TotalSeconds / accesses;
        if (SecondsEach > 0 && worth is > 0 and < double.PositiveInfinity)
            Cost = Math.Clamp(SecondsEach / worth, Least, Most);
    }

    private static void Blend(ref double seconds, long pages, TimeSpan time)
    {
        if (pages <= 0)
            return;
        double each = time.TotalSeconds / pages;
        seconds = seconds > 0 ? seconds + (NewWeight * (each - seconds)) : each;
    }
}
