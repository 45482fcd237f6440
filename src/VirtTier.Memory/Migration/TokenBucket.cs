// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Migration;

/// <summary>
/// Limits what is done in a second, in whatever it is charged in (bytes, nanoseconds). Work is charged after it is done, so the
/// balance may fall below zero; the next work waits until that debt is paid. Unused allowance is kept for a short time: enough
/// that a late timer costs nothing, and so little that any ten seconds keep the rate within a twentieth.
/// </summary>
public sealed class TokenBucket
{
    private const double BurstSeconds = 0.4;
    private const double BatchSeconds = 0.05;

    /// <summary>The most that <see cref="Delay"/> says: what is later is asked for again.</summary>
    internal static readonly TimeSpan LongestDelay = TimeSpan.FromDays(1);

    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private long _perSecond;
    private double _balance;
    private long _last;

    /// <summary>Makes a bucket; a rate of 0 means no limit.</summary>
    internal TokenBucket(TimeProvider time, long perSecond)
    {
        ArgumentNullException.ThrowIfNull(time);
        _time = time;
        _last = time.GetTimestamp();
        PerSecond = perSecond;
    }

    /// <summary>The rate; 0 means no limit. May be changed at any time.</summary>
    public long PerSecond
    {
        get => Volatile.Read(ref _perSecond);
        set
        {
            ArgumentOutOfRangeException.ThrowIfNegative(value);
            lock (_lock)
            {
                Refill();
                _perSecond = value;
                _balance = Math.Min(_balance, Burst);
            }
        }
    }

    /// <summary>The most that should be done at once, so that the traffic is even.</summary>
    internal long LargestBatch => PerSecond == 0 ? long.MaxValue : (long)(PerSecond * BatchSeconds);

    private double Burst => _perSecond * BurstSeconds;

    /// <summary>How long to wait before work may start, in whole milliseconds: timers know no others, and one of less than one
    /// would not wait at all.</summary>
    internal TimeSpan Delay()
    {
        lock (_lock)
        {
            Refill();
            return _perSecond == 0 || _balance >= 0
                ? TimeSpan.Zero
                : TimeSpan.FromMilliseconds(
                    Math.Min(Math.Ceiling(-_balance / _perSecond * 1000), LongestDelay.TotalMilliseconds));
        }
    }

    /// <summary>Charges work that was done.</summary>
    internal void Charge(long amount)
    {
        lock (_lock)
        {
            Refill();
            if (_perSecond > 0)
                _balance -= amount;
        }
    }

    private void Refill()
    {
        long now = _time.GetTimestamp();
        double earned = _time.GetElapsedTime(_last, now).TotalSeconds * _perSecond;
        _balance = _perSecond == 0 ? 0 : Math.Min(_balance + earned, Burst);
        _last = now;
    }
}
