// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Agent.Status;

namespace VirtTier.Agent;

/// <summary>
/// Knows whether each loop of the agent goes on. Limits are counted in looks, not by the clock: a machine that stands still, or
/// is too busy to run the agent at all, does not look either, and so makes nobody late.
/// </summary>
/// <param name="time">The clock by which idle loops wake up.</param>
/// <param name="log">Gets a line when a loop hangs, and one when it goes on.</param>
internal sealed class LoopWatch(TimeProvider time, ILogger log)
{
    /// <summary>Time between two looks: a fraction of the unit's <c>WatchdogSec</c>, as the watchdog is fed after each.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);

    /// <summary>For loops of which each step takes seconds at most, on a busy machine as well.</summary>
    public static readonly TimeSpan UsualLimit = TimeSpan.FromMinutes(2);

    private readonly Lock _lock = new();
    private readonly List<WatchedLoop> _loops = []; // under _lock
    private volatile IReadOnlyList<string> _hung = [];

    /// <summary>The loops that hung at the last look, in words.</summary>
    public IReadOnlyList<string> Hung => _hung;

    /// <summary>All loops, in words, with how long each has said nothing.</summary>
    public IReadOnlyList<LoopStatus> Status()
    {
        lock (_lock)
            return [.. _loops.Select(loop => new LoopStatus(loop.Does, loop.Silence.TotalSeconds, loop.Limit.TotalSeconds))];
    }

    /// <summary>Watches another loop, until what is returned is disposed.</summary>
    /// <param name="does">What it does, in words.</param>
    /// <param name="limit">The longest that it may go on without a word.</param>
    public WatchedLoop Add(string does, TimeSpan limit)
    {
        WatchedLoop loop = new(does, limit, time, Remove);
        lock (_lock)
            _loops.Add(loop);
        return loop;
    }

    /// <summary>Looks once.</summary>
    /// <returns>What hangs now, in words.</returns>
    public IReadOnlyList<string> Look()
    {
        List<string> hung = [];
        lock (_lock)
        {
            foreach (WatchedLoop loop in _loops)
            {
                bool hangs = loop.IsLate();
                if (hangs)
                    hung.Add(loop.Does);
                if (hangs && !_hung.Contains(loop.Does))
                    log.LoopHangs(loop.Does, loop.Limit.TotalSeconds);
            }
        }
        foreach (string does in _hung.Except(hung))
            log.LoopGoesOn(does);
        return _hung = hung;
    }

    private void Remove(WatchedLoop loop)
    {
        lock (_lock)
            _loops.Remove(loop);
    }
}

/// <summary>A loop that says that it goes on. One that waits for something to happen wakes up to say so.</summary>
internal sealed class WatchedLoop(string does, TimeSpan limit, TimeProvider time, Action<WatchedLoop> end) : IDisposable
{
    // Idle loops wake up this often: well within any limit.
    private static readonly TimeSpan s_wake = TimeSpan.FromSeconds(15);

    private int _looks;
    private long _progressed = time.GetTimestamp();

    /// <summary>What it does, in words.</summary>
    public string Does => does;

    /// <summary>The longest that it may go on without a word.</summary>
    public TimeSpan Limit => limit;

    /// <summary>Time since it last said that it goes on.</summary>
    public TimeSpan Silence => time.GetElapsedTime(Volatile.Read(ref _progressed));

    /// <summary>Says that it goes on.</summary>
    public void Progress()
    {
        Volatile.Write(ref _looks, 0);
        Volatile.Write(ref _progressed, time.GetTimestamp());
    }

    /// <summary>Waits for what may take any time, such as an event: to wait is no hang.</summary>
    public async Task<T> IdleAsync<T>(Task<T> task)
    {
        while (!task.IsCompleted)
        {
            using CancellationTokenSource over = new();
            await Task.WhenAny(task, Task.Delay(s_wake, time, over.Token));
            await over.CancelAsync();
            Progress();
        }
        return await task;
    }

    /// <summary>Counts a look; true if there were more than the limit since the last progress.</summary>
    internal bool IsLate() => Interlocked.Increment(ref _looks) > limit / LoopWatch.Interval;

    public void Dispose() => end(this);
}
