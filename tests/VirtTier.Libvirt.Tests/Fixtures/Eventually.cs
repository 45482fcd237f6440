// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace VirtTier.Libvirt.Tests.Fixtures;

/// <summary>Waits for something to become true.</summary>
internal static class Eventually
{
    /// <summary>
    /// How long any wait of a test may last: far more than a busy machine, ten times slower than a usual one, needs. A wait ends
    /// with its condition, so that only a fault takes this long, and every time within which the product gives up is shorter or
    /// much longer.
    /// </summary>
    internal static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    /// <summary>Fails the test when it takes longer than the limit.</summary>
    internal static Task TrueAsync(Func<bool> condition, Func<string> explain) =>
        TrueAsync(() => Task.FromResult(condition()), explain);

    /// <summary>The same for what has to be asked for.</summary>
    internal static async Task TrueAsync(Func<Task<bool>> condition, Func<string> explain)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!await condition())
        {
            if (watch.Elapsed > Limit)
                Assert.Fail($"not true within {Limit.TotalSeconds} s: {explain()}");
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }
}
