// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace VirtTier.TestSupport;

/// <summary>Waits for something to become true: what happens on another thread, or in another process.</summary>
internal static class Eventually
{
    /// <summary>
    /// How long any wait of a test may last: far more than a busy machine, ten times slower than a usual one, needs. A wait ends
    /// with its condition, so that only a fault takes this long, and every time within which the product gives up is shorter or
    /// much longer.
    /// </summary>
    internal static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    /// <summary>Fails the test when it takes longer than the limit.</summary>
    internal static Task IsTrue(Func<bool> condition, [CallerArgumentExpression(nameof(condition))] string what = "") =>
        IsTrue(condition, () => what);

    /// <summary>The same, and tells how things are then.</summary>
    internal static Task IsTrue(Func<bool> condition, Func<string> explain) =>
        IsTrue(() => Task.FromResult(condition()), explain);

    /// <summary>The same for what has to be asked for.</summary>
    internal static async Task IsTrue(Func<Task<bool>> condition, Func<string> explain)
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
