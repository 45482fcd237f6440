// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;

namespace VirtTier.Agent.Tests.Fakes;

/// <summary>For what happens on another thread: soon, but not at once.</summary>
internal static class Eventually
{
    // Far more than a busy machine needs: only a fault takes this long.
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    public static async Task IsTrue(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string? what = null)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            if (TimeProvider.System.GetElapsedTime(start) > s_limit)
                Assert.Fail($"not within {s_limit.TotalSeconds} s: {what}");
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }
}
