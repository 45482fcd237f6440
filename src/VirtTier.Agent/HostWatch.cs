// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Agent.Configuration;
using VirtTier.Memory.Numa;
using VirtTier.Memory;

namespace VirtTier.Agent;

/// <summary>
/// Notices memory that comes to the host or goes: a node, or part of one. Looks at the whole picture now and then, so that it
/// does not matter which event was lost, nor that the kernel knows a node's tier only some time after the node.
/// </summary>
/// <param name="reconciler">Is given what has changed.</param>
/// <param name="read">Reads the topology.</param>
/// <param name="time">The clock.</param>
/// <param name="log">Gets a line for each change, and one for each new reason why it cannot be followed.</param>
internal sealed class HostWatch(Reconciler reconciler, Func<NumaTopology> read, TimeProvider time, ILogger log)
{
    /// <summary>Time between two looks. Each reads some small files of sysfs a node.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(10);

    private string? _problem;

    /// <summary>Looks until it is stopped, which ends it with an <see cref="OperationCanceledException"/>.</summary>
    /// <param name="loop">Told of each look.</param>
    /// <param name="stop">Ends it.</param>
    public async Task RunAsync(WatchedLoop loop, CancellationToken stop)
    {
        using PeriodicTimer timer = new(Interval, time);
        while (await timer.WaitForNextTickAsync(stop))
        {
            await LookAsync();
            loop.Progress();
        }
    }

    /// <summary>Looks once. What does not fit the configuration, or cannot be read, leaves all as it is.</summary>
    public async Task LookAsync()
    {
        try
        {
            NumaTopology topology = read();
            if (await reconciler.RefreshHostAsync(config => HostMemory.Read(config, topology)) is { } host)
                log.HostChanged(host.Describe());
            _problem = null;
        }
        catch (Exception e) when (e is ConfigException or GuestMemoryException or IOException or UnauthorizedAccessException)
        {
            if (e.Message != _problem)
                log.HostProblem($"{e.Message}; tiering goes on with the memory as it was");
            _problem = e.Message;
        }
    }
}
