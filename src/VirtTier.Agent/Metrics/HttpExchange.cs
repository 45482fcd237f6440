// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;

namespace VirtTier.Agent.Metrics;

/// <summary>One HTTP/1.1 request and its answer; the connection is to be closed then.</summary>
internal static class HttpExchange
{
    /// <summary>The most that a request may have; Prometheus sends some hundred bytes.</summary>
    internal const int MostRequestBytes = 8192;

    /// <summary>Reads a request and answers it.</summary>
    /// <param name="client">The connection.</param>
    /// <param name="page">Makes the page of <c>/metrics</c>.</param>
    /// <param name="limit">Time for the request to arrive.</param>
    /// <param name="cancel">Ends all of it.</param>
    public static async Task AnswerAsync(Stream client, Func<Task<byte[]>> page, TimeSpan limit, CancellationToken cancel)
    {
        string? request = await ReadHeadAsync(client, limit, cancel);
        string[] words = request?.Split('\r', 2)[0].Split(' ') ?? [];
        if (words is not [var method, ['/', ..] target, ['H', 'T', 'T', 'P', '/', '1', '.', _]])
        {
            await WriteAsync(client, "400 Bad Request", "text/plain",
                "This is an HTTP/1.1 server: GET /metrics\n"u8.ToArray(), true, cancel);
            return;
        }
        bool withBody = method != "HEAD";
        if (method is not ("GET" or "HEAD"))
            await WriteAsync(client, "405 Method Not Allowed\r\nAllow: GET, HEAD", "text/plain",
                "GET or HEAD only\n"u8.ToArray(), true, cancel);
        else if (target.Split('?')[0] == "/metrics")
            await WriteAsync(client, "200 OK", MetricsPage.ContentType, await page(), withBody, cancel);
        else
            await WriteAsync(client, "404 Not Found", "text/plain", "The metrics are at /metrics\n"u8.ToArray(),
                withBody, cancel);
    }

    // All up to the empty line; null when it does not come.
    private static async Task<string?> ReadHeadAsync(Stream client, TimeSpan limit, CancellationToken cancel)
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        end.CancelAfter(limit);
        byte[] buffer = new byte[MostRequestBytes];
        int length = 0;
        while (length < buffer.Length)
        {
            int read = await client.ReadAsync(buffer.AsMemory(length), end.Token);
            if (read == 0)
                return null;
            length += read;
            if (buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8) >= 0)
                return Encoding.Latin1.GetString(buffer, 0, length);
        }
        return null;
    }

    private static async Task WriteAsync(
        Stream client, string status, string type, byte[] body, bool withBody, CancellationToken cancel)
    {
        string head = string.Create(CultureInfo.InvariantCulture,
            $"HTTP/1.1 {status}\r\nContent-Type: {type}\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n");
        await client.WriteAsync(Encoding.ASCII.GetBytes(head), cancel);
        if (withBody)
            await client.WriteAsync(body, cancel);
        await client.FlushAsync(cancel);
    }
}
