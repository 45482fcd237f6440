// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.Agent.Bus;

/// <summary>
/// Finds out whether the bus's thread goes on, which answers calls and the hook: it asks the bus something now and then. An error
/// is an answer too, as that there is no bus: the thread gave it.
/// </summary>
internal static class BusWatch
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);

    /// <summary>Asks until it is stopped, which ends it with an <see cref="OperationCanceledException"/>.</summary>
    /// <param name="bus">The bus.</param>
    /// <param name="loop">Told of each answer.</param>
    /// <param name="time">The clock.</param>
    /// <param name="stop">Ends it.</param>
    public static async Task RunAsync(IBus bus, WatchedLoop loop, TimeProvider time, CancellationToken stop)
    {
        using PeriodicTimer timer = new(s_interval, time);
        do
        {
            try
            {
                await bus.CallAsync(new("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId",
                    BusBody.Empty, s_interval), stop);
            }
            catch (BusException)
            {
                // The bus is away or slow, which others tell of; its thread is well.
            }
            loop.Progress();
        }
        while (await timer.WaitForNextTickAsync(stop));
    }
}
