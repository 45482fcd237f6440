// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Replay.Traces;
using VirtTier.Tiering.Planning;

namespace VirtTier.Replay.Policies;

/// <summary>The agent's own planner, fed as the agent feeds it.</summary>
internal sealed class VirtTierPolicy : IReplayPolicy
{
    private const int SampleSeed = 1;

    private readonly PlacementPlanner _planner;
    private readonly MovePlan _plan = new();
    private readonly Random _random = new(SampleSeed);
    private readonly ulong[] _accessed;
    private readonly MappingSize[] _sizes;
    private readonly byte[] _residency;
    private readonly bool _counts;
    private readonly int _runPages;
    private readonly double _samplesPerHarvest;
    private readonly bool _samplesWrites;
    private bool _isWriteRound;
    private int _landmines;

    /// <summary>A planner that has seen nothing yet.</summary>
    /// <param name="trace">The trace, of which only the number of pages and harvests is looked at.</param>
    /// <param name="observation">With counts, the planner is told how many accesses the bits stand for.</param>
    /// <param name="allocation">How pages get their memory.</param>
    /// <param name="cost">What one moved page costs, in accesses.</param>
    /// <param name="decision">Whether it is asked after each harvest.</param>
    /// <param name="samples">Fault samples that it gets; null for none.</param>
    public VirtTierPolicy(
        Trace trace, Observation observation, Allocation allocation, double cost, Decision decision,
        ReplaySamples? samples = null)
    {
        ArgumentNullException.ThrowIfNull(trace);
        _counts = observation == Observation.Counts;
        // With samples a block is the mapping that it is; without, there is nothing in it to be told apart.
        _runPages = samples is null ? 1 : trace.RunPages;
        _samplesPerHarvest = samples is null ? 0 : (double)samples.PerRound / trace.Harvests;
        _samplesWrites = samples is { WriteWeight: not 1 };
        // How much of its memory a growing guest will touch is not for the planner to know: as much again stays absent.
        long known = (allocation == Allocation.Headroom ? 2L : 1) * trace.Pages * _runPages;
        int guestPages = checked((int)((known + PageSizes.BlockPages - 1) / PageSizes.BlockPages * PageSizes.BlockPages));
        _planner = new PlacementPlanner(guestPages, sampled: samples is not null)
        {
            MoveCost = cost,
            WriteWeight = samples?.WriteWeight ?? 1,
            DecisionSpacing = decision == Decision.Harvest ? 1.0 / trace.Harvests : 1,
        };
        _accessed = new ulong[guestPages / 64];
        _sizes = new MappingSize[guestPages / PageSizes.BlockPages];
        Array.Fill(_sizes, _runPages == PageSizes.BlockPages ? MappingSize.Size2M : MappingSize.Size4K);
        _residency = new byte[guestPages];
        Array.Fill(_residency, Residency.Absent);
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
            int page = touch.Page * _runPages;
            _accessed[page / 64] |= 1UL << (page % 64);
            accesses += touch.Count;
            // As the kernel module draws them: any page that is accessed is as likely as the other, however often it is.
            if (_samplesPerHarvest == 0 || _random.NextDouble() * touches.Length >= _samplesPerHarvest)
                continue;
            _landmines++;
            if (touch.Sample is { } sample && (sample.IsWritten || !_isWriteRound))
                _planner.Sample(page + sample.Offset, _isWriteRound);
        }
        _planner.Observe(_accessed, _sizes, _counts ? accesses * _runPages : null);
    }

    /// <inheritdoc/>
    public void EndHarvest(ReplayPlacement placement)
    {
        _planner.RestoreHeadroom((long)placement.Fast * _runPages, _plan);
        CarryOut(placement);
    }

    /// <inheritdoc/>
    public void EndRound(ReplayPlacement placement)
    {
        for (int page = 0; page < placement.Residencies.Length; page++)
            _residency.AsSpan(page * _runPages, _runPages).Fill(placement.Residencies[page]);
        _planner.CountLandmines(_isWriteRound ? 0 : _landmines, _isWriteRound ? _landmines : 0);
        _landmines = 0;
        _isWriteRound = _samplesWrites && !_isWriteRound;
        _planner.EndRound(_residency, (long)placement.Budget * _runPages, maxMoves: long.MaxValue, _plan);
        CarryOut(placement);
    }

    private void CarryOut(ReplayPlacement placement)
    {
        foreach (PageRun run in _plan.Demotions.Span)
            placement.Demote(run.First / _runPages);
        foreach (PageRun run in _plan.Promotions.Span)
            placement.Promote(run.First / _runPages);
    }
}
