// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Replay.Policies;

/// <summary>The agent's own planner, fed as the agent feeds it.</summary>
public sealed class VirtTierPolicy : IReplayPolicy
{
    private readonly PlacementPlanner _planner;
    private readonly MovePlan _plan = new();
    private readonly ulong[] _accessed;
    private readonly byte[] _sizes;
    private readonly byte[] _residency;
    private readonly bool _counts;

    /// <summary>A planner that has seen nothing yet.</summary>
    /// <param name="pages">Distinct pages of the trace.</param>
    /// <param name="observation">With counts, the planner is told how many accesses the bits stand for.</param>
    /// <param name="allocation">How pages get their memory.</param>
    /// <param name="cost">What one moved page costs, in accesses.</param>
    public VirtTierPolicy(int pages, Observation observation, Allocation allocation, double cost)
    {
        _counts = observation == Observation.Counts;
        // How much of its memory a growing guest will touch is not for the planner to know: as much again stays absent.
        long known = allocation == Allocation.Headroom ? 2L * pages : pages;
        int guestPages = checked((int)((known + PlacementPlanner.RegionPages - 1) / PlacementPlanner.RegionPages * PlacementPlanner.RegionPages));
        _planner = new PlacementPlanner(guestPages) { MoveCost = cost };
        _accessed = new ulong[guestPages / 64];
        _sizes = new byte[guestPages / PlacementPlanner.RegionPages];
        Array.Fill(_sizes, MappingSize.Page4K);
        _residency = new byte[guestPages];
        if (allocation == Allocation.Populated)
            Array.Fill(_residency, (byte)(Residency.Slow | Residency.Immovable));
    }

    /// <inheritdoc/>
    public void Observe(ReadOnlySpan<PageTouch> touches)
    {
        Array.Clear(_accessed);
        long accesses = 0;
        foreach (PageTouch touch in touches)
        {
            _accessed[touch.Page / 64] |= 1UL << (touch.Page % 64);
            accesses += touch.Count;
        }
        _planner.Observe(_accessed, _sizes, _counts ? accesses : null);
    }

    /// <inheritdoc/>
    public void EndRound(Placement placement)
    {
        placement.Residencies.CopyTo(_residency);
        _planner.EndRound(_residency, placement.Budget, maxMoves: long.MaxValue, _plan);
        foreach (MoveUnit unit in _plan.Demotions)
            placement.Demote(unit.Page);
        foreach (MoveUnit unit in _plan.Promotions)
            placement.Promote(unit.Page);
    }
}
