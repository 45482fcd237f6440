// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Text;

namespace VirtTier.Agent.Metrics;

/// <summary>
/// One HTTP/1.1 request and its answer, on streams that somebody else connected: systemd listens, starts a process for each
/// connection and hands it over (<c>Accept=yes</c>), so that no server of ours stands on the network.
/// </summary>
internal static class HttpExchange
{
    // Prometheus sends some hundred bytes.
    private const int MostRequestBytes = 8192;

    /// <summary>Reads a request and answers it; the connection is to be closed then.</summary>
    /// <param name="input">Where the request comes from.</param>
    /// <param name="output">Where the answer goes.</param>
    /// <param name="render">Makes the page of <c>/metrics</c>.</param>
    /// <param name="cancel">Ends the wait for the request.</param>
    public static async Task AnswerAsync(
        Stream input, Stream output, Func<CancellationToken, Task<byte[]>> render, CancellationToken cancel)
    {
        string? request = await ReadHeadAsync(input, cancel);
        string[] words = request?.Split('\r', 2)[0].Split(' ') ?? [];
        if (words is not [var method, ['/', ..] target, ['H', 'T', 'T', 'P', '/', '1', '.', _]])
        {
            await WriteAsync(output, "400 Bad Request", "text/plain",
                "This is an HTTP/1.1 server: GET /metrics\n"u8.ToArray(), true, cancel);
            return;
        }
        bool withBody = method != "HEAD";
        if (method is not ("GET" or "HEAD"))
            await WriteAsync(output, "405 Method Not Allowed\r\nAllow: GET, HEAD", "text/plain",
                "GET or HEAD only\n"u8.ToArray(), true, cancel);
        else if (target.Split('?')[0] == "/metrics")
            await WriteAsync(output, "200 OK", MetricsPage.ContentType, await render(cancel), withBody, cancel);
        else
            await WriteAsync(output, "404 Not Found", "text/plain", "The metrics are at /metrics\n"u8.ToArray(),
                withBody, cancel);
    }

    // All up to the empty line; null when it does not come, or too late.
    private static async Task<string?> ReadHeadAsync(Stream input, CancellationToken cancel)
    {
        byte[] buffer = new byte[MostRequestBytes];
        int length = 0;
        while (length < buffer.Length)
        {
            int read = await input.ReadAsync(buffer.AsMemory(length), cancel);
            if (read == 0)
                return null;
            length += read;
            if (buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8) >= 0)
                return Encoding.Latin1.GetString(buffer, 0, length);
        }
        return null;
    }

    private static async Task WriteAsync(
        Stream output, string status, string type, byte[] body, bool withBody, CancellationToken cancel)
    {
        string head = string.Create(CultureInfo.InvariantCulture,
            $"HTTP/1.1 {status}\r\nContent-Type: {type}\r\nContent-Length: {body.Length}\r\nConnection: close\r\n\r\n");
        await output.WriteAsync(Encoding.ASCII.GetBytes(head), cancel);
        if (withBody)
            await output.WriteAsync(body, cancel);
        await output.FlushAsync(cancel);
    }
}
