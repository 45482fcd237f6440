// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Tests.Fakes;

/// <summary>A clock that moves only when told, or when someone waits: a timer fires at once and puts
/// the clock to its time.</summary>
internal sealed class HurriedTime : TimeProvider
{
    private long _ticks;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    /// <summary>Each wait that was asked for, in order.</summary>
    public List<TimeSpan> Waits { get; } = [];

    /// <summary>Called when someone begins to wait, before time passes.</summary>
    public Action? OnWait { get; set; }

    public TimeSpan Now => TimeSpan.FromTicks(_ticks);

    public override long GetTimestamp() => _ticks;

    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch + Now;

    public void Advance(TimeSpan time) => _ticks += time.Ticks;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new FiredTimer();
        if (dueTime == Timeout.InfiniteTimeSpan)
            return timer;
        OnWait?.Invoke();
        Waits.Add(dueTime);
        Advance(dueTime);
        ThreadPool.QueueUserWorkItem(_ => callback(state));
        return timer;
    }

    private sealed class FiredTimer : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
