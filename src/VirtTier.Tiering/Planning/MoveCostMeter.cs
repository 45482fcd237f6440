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

    private Average _ofPages;
    private Average _ofBlocks;

    /// <summary>The cost, in accesses a page; 1 until it was measured.</summary>
    public double Cost { get; private set; } = 1;

    /// <summary>The time that moving a page takes, in seconds; 0 until it was measured.</summary>
    public double SecondsEach { get; private set; }

    /// <summary>Takes in pages that were moved one by one, and the time that took.</summary>
    public void ObservePages(long pages, TimeSpan time) => _ofPages.Add(pages, time);

    /// <summary>Takes in pages that were moved in blocks, and the time that took.</summary>
    public void ObserveBlocks(long pages, TimeSpan time) => _ofBlocks.Add(pages, time);

    /// <summary>Works out the cost for a round.</summary>
    /// <param name="guestTime">CPU time, of all its CPUs together, that the guest used while a
    /// round's harvests looked at it.</param>
    /// <param name="accesses">Accesses that they found, as <see cref="MovePlan.Accesses"/> has them.</param>
    /// <param name="blockShare">Share (0..1) of the guest's memory that is mapped in blocks, which move as one.</param>
    public void Update(TimeSpan guestTime, double accesses, double blockShare)
    {
        // Until pages of a size were moved, those of the other size have to speak for them.
        double ofPages = _ofPages.SecondsEach > 0 ? _ofPages.SecondsEach : _ofBlocks.SecondsEach;
        double ofBlocks = _ofBlocks.SecondsEach > 0 ? _ofBlocks.SecondsEach : _ofPages.SecondsEach;
        SecondsEach = (ofPages * (1 - blockShare)) + (ofBlocks * blockShare);
        double worth = SlowLoss * guestTime.TotalSeconds / accesses;
        if (SecondsEach > 0 && worth is > 0 and < double.PositiveInfinity)
            Cost = Math.Clamp(SecondsEach / worth, Least, Most);
    }

    /// <summary>The time of a page's move, over about as many rounds as the planner looks back.</summary>
    private struct Average
    {
        private const double Kept = 0.9;

        private double _seconds;
        private double _pages;

        public readonly double SecondsEach => _pages > 0 ? _seconds / _pages : 0;

        // By pages, not by rounds: a few pages take longer each, as a call has its price, and would speak for the many.
        public void Add(long pages, TimeSpan time)
        {
            if (pages <= 0)
                return;
            _seconds = (_seconds * Kept) + time.TotalSeconds;
            _pages = (_pages * Kept) + pages;
        }
    }
}
