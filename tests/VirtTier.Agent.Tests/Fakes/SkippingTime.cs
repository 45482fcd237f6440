// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Tests.Fakes;

/// <summary>Time that can be made to have passed: timers run as they do, timestamps are ahead by what was skipped.</summary>
internal sealed class SkippingTime : TimeProvider
{
    private long _skipped;

    public override long GetTimestamp() => base.GetTimestamp() + Volatile.Read(ref _skipped);

    public void Skip(TimeSpan time) => Interlocked.Add(ref _skipped, (long)(time.TotalSeconds * TimestampFrequency));
}
