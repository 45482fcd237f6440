// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Testbed;

/// <summary>
/// Time as an emulated host had it: the time that its emulator's threads stood in the queue for a processor is not counted. A
/// limit in this time is the same on a busy machine as on a quiet one, and a host that hangs still runs into it.
/// </summary>
public sealed class HostClock
{
    private readonly string _runFolder;
    private readonly string _procFolder;
    private readonly TimeProvider _time;
    private readonly long _start;
    private Dictionary<string, long> _queued;
    private long _lost;

    /// <summary>Starts at zero.</summary>
    /// <param name="runFolder">The folder of the host's instance, with the emulator's <c>pid</c>.</param>
    /// <param name="procFolder">Where procfs is.</param>
    /// <param name="time">The machine's clock; null for the real one.</param>
    public HostClock(string runFolder, string procFolder = "/proc", TimeProvider? time = null)
    {
        _runFolder = runFolder;
        _procFolder = procFolder;
        _time = time ?? TimeProvider.System;
        _start = _time.GetTimestamp();
        _queued = Queued();
    }

    /// <summary>The time that the host had since the start.</summary>
    public TimeSpan Elapsed
    {
        get
        {
            Dictionary<string, long> queued = Queued();
            // The thread that waited longest: what the host does in turn goes through one of them at a time.
            // One that came since began at zero.
            long longest = queued.Select(thread => thread.Value - _queued.GetValueOrDefault(thread.Key)).DefaultIfEmpty().Max();
            _lost += Math.Max(0, longest);
            _queued = queued;
            TimeSpan had = _time.GetElapsedTime(_start) - TimeSpan.FromMicroseconds(_lost / 1000);
            return had > TimeSpan.Zero ? had : TimeSpan.Zero;
        }
    }

    // Nanoseconds in the run queue by thread: the second figure of schedstat (the kernel's
    // Documentation/scheduler/sched-stats.rst).
    private Dictionary<string, long> Queued()
    {
        Dictionary<string, long> queued = [];
        try
        {
            string pid = File.ReadAllText(Path.Combine(_runFolder, "pid")).Trim();
            foreach (string thread in Directory.GetDirectories(Path.Combine(_procFolder, pid, "task")))
            {
                if (File.ReadAllText(Path.Combine(thread, "schedstat")).Split(' ') is [_, var waited, ..])
                    queued[thread] = long.Parse(waited, CultureInfo.InvariantCulture);
            }
        }
        catch (IOException)
        {
            // No emulator, a thread that ended meanwhile, or a kernel without these figures: all of the time counts then.
        }
        return queued;
    }
}
