// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Migration;
using VirtTier.Memory.Tests.Fakes;

namespace VirtTier.Memory.Tests.Migration;

/// <summary>The parts that keep migration within its limits.</summary>
public sealed class MigrationLimitsTests
{
    private readonly HurriedTime _time = new();

    [Fact]
    public void A_bucket_without_a_rate_never_delays()
    {
        var bucket = new TokenBucket(_time, 0);
        bucket.Charge(long.MaxValue / 2);
        Assert.Equal(TimeSpan.Zero, bucket.Delay());
    }

    [Fact]
    public void Work_done_is_paid_for_before_the_next()
    {
        var bucket = new TokenBucket(_time, 1000);
        bucket.Charge(500);
        Assert.Equal(0.5, bucket.Delay().TotalSeconds, 0.001);
        _time.Advance(TimeSpan.FromSeconds(0.2));
        Assert.Equal(0.3, bucket.Delay().TotalSeconds, 0.001);
        _time.Advance(TimeSpan.FromSeconds(0.3));
        Assert.Equal(TimeSpan.Zero, bucket.Delay());
    }

    [Fact]
    public void Allowance_that_was_not_used_is_kept_for_a_short_time_only()
    {
        var bucket = new TokenBucket(_time, 1000);
        _time.Advance(TimeSpan.FromHours(1));
        bucket.Charge(1400);
        Assert.Equal(1.0, bucket.Delay().TotalSeconds, 0.001);
    }

    [Fact]
    public void A_new_rate_holds_at_once()
    {
        var bucket = new TokenBucket(_time, 1000);
        bucket.Charge(1000);
        bucket.PerSecond = 10_000;
        Assert.Equal(0.1, bucket.Delay().TotalSeconds, 0.001);
        bucket.PerSecond = 0;
        Assert.Equal(TimeSpan.Zero, bucket.Delay());
        Assert.Throws<ArgumentOutOfRangeException>(() => bucket.PerSecond = -1);
    }

    [Fact]
    public void Batches_grow_by_steps_to_the_limit_and_shrink_at_once()
    {
        var sizer = new BatchSizer(TimeSpan.FromMilliseconds(20), first: 16, fewest: 8);
        sizer.Learn(16, TimeSpan.FromMicroseconds(16));
        Assert.Equal(32, sizer.Next);
        for (int i = 0; i < 20; i++)
            sizer.Learn(sizer.Next, TimeSpan.FromMicroseconds(2 * sizer.Next));
        Assert.InRange(sizer.Next, 9900, 10_000);
        sizer.Learn(sizer.Next, TimeSpan.FromMicroseconds(20 * sizer.Next));
        Assert.InRange(sizer.Next, 990, 1000);
        sizer.Learn(1, TimeSpan.FromSeconds(1));
        Assert.Equal(8, sizer.Next);
    }

    [Fact]
    public void Pages_leave_an_aging_set_after_one_to_two_periods()
    {
        TimeSpan period = TimeSpan.FromMinutes(5);
        var set = new AgingPageSet(_time, period, 1000);
        _time.Advance(period * 0.9);
        set.Add(999);
        Assert.True(set.Contains(999));
        Assert.False(set.Contains(998));
        _time.Advance(period);
        Assert.True(set.Contains(999));
        _time.Advance(period);
        Assert.False(set.Contains(999));

        set.Add(1);
        _time.Advance(2 * period);
        Assert.False(set.Contains(1));
    }
}
