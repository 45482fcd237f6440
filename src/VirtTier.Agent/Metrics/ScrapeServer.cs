// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;

namespace VirtTier.Agent.Metrics;

/// <summary>
/// Answers scrapes on sockets that already listen. Whatever clients do, each gets an end: their number, the size of what they ask
/// and the time that they take are limited, and the agent is asked one question at a time, whose answer all who wait for one get.
/// </summary>
/// <param name="makePage">Asks the agent and makes the page. It takes a few seconds at most.</param>
/// <param name="limits">What clients may take.</param>
internal sealed class ScrapeServer(Func<CancellationToken, Task<byte[]>> makePage, ScrapeLimits limits)
{
    // When the process has no file left for a connection, it waits in the kernel's queue until one is closed.
    private static readonly TimeSpan s_pauseAfterFailure = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private Task<byte[]>? _page; // under _lock; the page that is being made, or the last one

    /// <summary>Serves until it is told to stop, then closes the sockets.</summary>
    public async Task RunAsync(IReadOnlyList<Socket> listeners, CancellationToken stop)
    {
        SemaphoreSlim room = new(limits.Connections);
        try
        {
            await Task.WhenAll(listeners.Select(listener => AcceptForeverAsync(listener, room, stop)));
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            foreach (Socket listener in listeners)
                listener.Dispose();
        }
    }

    private async Task AcceptForeverAsync(Socket listener, SemaphoreSlim room, CancellationToken stop)
    {
        while (true)
        {
            await room.WaitAsync(stop);
            try
            {
                _ = ServeAsync(await listener.AcceptAsync(stop), room, stop);
            }
            catch (SocketException)
            {
                room.Release();
                await Task.Delay(s_pauseAfterFailure, stop);
            }
        }
    }

    private async Task ServeAsync(Socket client, SemaphoreSlim room, CancellationToken stop)
    {
        try
        {
            using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(stop);
            end.CancelAfter(limits.Exchange);
            await using NetworkStream stream = new(client, ownsSocket: true);
            await HttpExchange.AnswerAsync(stream, () => PageAsync(stop).WaitAsync(end.Token), limits.Request, end.Token);
            client.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
        {
            // The other side went away, or took too long: nobody is left to be answered.
        }
        finally
        {
            room.Release();
        }
    }

    /// <summary>A page that is not older than the call, but for one that is being made just now.</summary>
    internal Task<byte[]> PageAsync(CancellationToken stop)
    {
        lock (_lock)
        {
            if (_page is null or { IsCompleted: true })
                _page = Task.Run(() => makePage(stop), stop);
            return _page;
        }
    }
}

/// <summary>What clients may take.</summary>
/// <param name="Connections">At once; others wait until one has ended.</param>
/// <param name="Request">Time to send a request.</param>
/// <param name="Exchange">Time for all of it, from the connection to the last byte of the answer.</param>
internal readonly record struct ScrapeLimits(int Connections, TimeSpan Request, TimeSpan Exchange)
{
    /// <summary>A Prometheus sends its request at once, and gives a scrape ten seconds.</summary>
    public static ScrapeLimits Usual { get; } = new(256, TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(10));
}
