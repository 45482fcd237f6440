// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Migration;

/// <summary>Sums of migration work. One thread adds; any may read.</summary>
public sealed class MoveCounters
{
    private static readonly int s_outcomeCount = Enum.GetValues<MoveOutcome>().Length;

    private readonly long[] _pages = new long[s_outcomeCount];

    /// <summary>Pages (4 KiB) with this outcome.</summary>
    public long this[MoveOutcome outcome] => _pages[(int)outcome];

    /// <summary>Calls of move_pages(2) that were to move pages.</summary>
    public long Calls { get; private set; }

    /// <summary>Time spent in them.</summary>
    public TimeSpan CallTime { get; private set; }

    /// <summary>CPU time that they took.</summary>
    public TimeSpan CpuTime { get; private set; }

    /// <summary>Of it, what calls for blocks took.</summary>
    public TimeSpan BlockCpuTime { get; private set; }

    /// <summary>Of the pages (4 KiB) moved, those moved as blocks.</summary>
    public long MovedInBlocks { get; private set; }

    /// <summary>The longest call.</summary>
    internal TimeSpan LongestCall { get; private set; }

    /// <summary>Pages (4 KiB) tried again because they were busy.</summary>
    internal long Retried { get; private set; }

    /// <summary>Pages (4 KiB) that were moved away again behind the mover's back.</summary>
    internal long Drifted { get; private set; }

    internal void Add(MoveOutcome outcome, long pages) => _pages[(int)outcome] += pages;

    internal void AddMoved(long pages, bool blocks)
    {
        Add(MoveOutcome.Moved, pages);
        if (blocks)
            MovedInBlocks += pages;
    }

    internal void AddCall(TimeSpan time, TimeSpan cpuTime, bool blocks)
    {
        Calls++;
        CallTime += time;
        CpuTime += cpuTime;
        if (blocks)
            BlockCpuTime += cpuTime;
        if (time > LongestCall)
            LongestCall = time;
    }

    internal void AddRetried(long pages) => Retried += pages;

    internal void AddDrifted(long pages) => Drifted += pages;

    internal void Add(MoveCounters other)
    {
        for (int i = 0; i < s_outcomeCount; i++)
            _pages[i] += other._pages[i];
        Calls += other.Calls;
        CallTime += other.CallTime;
        CpuTime += other.CpuTime;
        BlockCpuTime += other.BlockCpuTime;
        MovedInBlocks += other.MovedInBlocks;
        Retried += other.Retried;
        if (other.LongestCall > LongestCall)
            LongestCall = other.LongestCall;
    }
}
