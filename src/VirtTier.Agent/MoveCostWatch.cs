// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Processes;
using VirtTier.Memory.Migration;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Agent;

/// <summary>What moving a page of one guest costs, from its moves and its CPU time.</summary>
/// <param name="pid">The guest's process.</param>
/// <param name="counters">The guest's moves.</param>
/// <param name="time">The clock.</param>
internal sealed class MoveCostWatch(int pid, MoveCounters counters, TimeProvider time)
{
    private readonly MoveCostMeter _meter = new();
    private CpuReading _guestTime;
    private MovesDone _moved;

    /// <inheritdoc cref="MoveCostMeter.Cost"/>
    public double Cost => _meter.Cost;

    /// <summary>
    /// Pages that can be moved before what the plan knows has grown old: as many as the traffic of one round allows, and no more
    /// than the CPU time does before the next round is due at the latest.
    /// </summary>
    public long MostMoves(MoveLimits limits, SamplingPace pace)
    {
        double byRate = limits.BytesPerSecond * pace.Round.TotalSeconds / PageSizes.PageBytes;
        double byWork = limits.CpuShare * pace.LongestRound.TotalSeconds / _meter.SecondsEach;
        return (long)Math.Min(byRate, byWork);
    }

    /// <summary>Takes in the moves since it was last called.</summary>
    public void ObserveMoves()
    {
        MovesDone before = _moved;
        long inBlocks = counters.MovedInBlocks;
        _moved = new MovesDone(counters[MoveOutcome.Moved] - inBlocks, counters.CpuTime - counters.BlockCpuTime, inBlocks,
            counters.BlockCpuTime);
        _meter.ObservePages(_moved.ByPage - before.ByPage, _moved.ByPageTime - before.ByPageTime);
        _meter.ObserveBlocks(_moved.InBlocks - before.InBlocks, _moved.InBlocksTime - before.InBlocksTime);
    }

    /// <summary>Works out the cost for the next round.</summary>
    /// <param name="watched">How long this round's harvests looked at the guest.</param>
    /// <param name="accesses">Accesses that they found.</param>
    /// <param name="sizes">How the guest's blocks are mapped.</param>
    public void EndRound(TimeSpan watched, double accesses, ReadOnlySpan<MappingSize> sizes)
    {
        int blocks = sizes.Count(MappingSize.Size2M);
        double blockShare = blocks / (double)Math.Max(1, blocks + sizes.Count(MappingSize.Size4K));
        _meter.Update(GuestTime(watched), accesses, blockShare);
    }

    /// <summary>CPU time that the guest used while it was looked at, if it used it evenly since the last round.</summary>
    private TimeSpan GuestTime(TimeSpan watched)
    {
        CpuReading before = _guestTime;
        _guestTime = new CpuReading(time.GetTimestamp(), ProcessFacts.ReadCpuTime(pid));
        TimeSpan elapsed = time.GetElapsedTime(before.Timestamp, _guestTime.Timestamp);
        return before.Timestamp == 0 ? TimeSpan.Zero : (_guestTime.Used - before.Used) * (watched / elapsed);
    }

    private readonly record struct CpuReading(long Timestamp, TimeSpan Used);

    private readonly record struct MovesDone(long ByPage, TimeSpan ByPageTime, long InBlocks, TimeSpan InBlocksTime);
}
