// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Migration;

/// <summary>Fits the length of a batch to a time limit for one call, from the measured time of earlier ones.</summary>
internal sealed class BatchSizer
{
    // One call takes at most this much, whatever the measurements say: 64 MiB of 4 KiB pages.
    private const int Longest = 16384;

    private readonly double _limitSeconds;
    private readonly int _fewest;
    private double _secondsEach;

    /// <summary>
    /// Starts with <paramref name="first"/> addresses a call, and never goes below <paramref name="fewest"/>: a call has a cost
    /// of its own (the kernel first drains every CPU's lists of pages), and on a machine short of CPU its time is mostly waiting,
    /// which smaller batches would only multiply.
    /// </summary>
    public BatchSizer(TimeSpan limit, int first, int fewest)
    {
        _limitSeconds = limit.TotalSeconds;
        _fewest = fewest;
        Next = first;
    }

    /// <summary>Addresses for the next call.</summary>
    public int Next { get; private set; }

    /// <summary>Learns from a call. A slower call counts at once, a faster one by and by: the limit
    /// is for the slow ones.</summary>
    public void Learn(int addresses, TimeSpan time)
    {
        double each = time.TotalSeconds / addresses;
        _secondsEach = each > _secondsEach ? each : (0.75 * _secondsEach) + (0.25 * each);
        double fitting = _secondsEach > 0 ? _limitSeconds / _secondsEach : Longest;
        Next = (int)Math.Clamp(fitting, _fewest, Math.Min(Longest, 2.0 * Next));
    }
}
