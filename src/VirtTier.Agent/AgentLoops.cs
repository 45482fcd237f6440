// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent;

/// <summary>What the agent does all the time. It does all of it or none: half an agent looks healthy and
/// leaves guests untended.</summary>
internal static class AgentLoops
{
    /// <summary>Runs the loops until they are told to stop, or until one ends by itself;
    /// then the others are stopped as well.</summary>
    /// <param name="stop">Ends them, with an <see cref="OperationCanceledException"/>.</param>
    /// <param name="loops">The loops, each with its watch.</param>
    /// <exception cref="InvalidOperationException">One ended by itself; systemd starts the agent anew.</exception>
    public static async Task RunAsync(
        CancellationToken stop, params (WatchedLoop Watch, Func<CancellationToken, Task> Loop)[] loops)
    {
        using CancellationTokenSource all = CancellationTokenSource.CreateLinkedTokenSource(stop);
        // On the pool: one that throws before it first waits, or never waits, must not keep the others from running.
        Task[] tasks = [.. loops.Select(loop => Task.Run(() => loop.Loop(all.Token), CancellationToken.None))];
        Task ended = await Task.WhenAny(tasks);
        await all.CancelAsync();
        try
        {
            await Task.WhenAll(tasks);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception) when (!stop.IsCancellationRequested)
        {
            // Said below, of the one that ended first.
        }
        if (!stop.IsCancellationRequested)
        {
            string which = loops[Array.IndexOf(tasks, ended)].Watch.Does;
            throw new InvalidOperationException(
                $"a loop of the agent ended ({which}): {ended.Exception?.InnerException?.Message ?? "without an error"}",
                ended.Exception?.InnerException);
        }
    }
}
