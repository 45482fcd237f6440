// SPDX-License-Identifier: Apache-2.0
using System.Text;
using VirtTier.Agent.Metrics;

namespace VirtTier.Agent.Tests.Metrics;

/// <summary>One request, one answer.</summary>
public sealed class HttpExchangeTests
{
    [Theory]
    [InlineData("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK", "page")]
    [InlineData("GET /metrics?x=1 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK", "page")]
    [InlineData("HEAD /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK", "")]
    [InlineData("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found", "The metrics are at /metrics\n")]
    [InlineData("POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405 Method Not Allowed", "GET or HEAD only\n")]
    [InlineData("rubbish\r\n\r\n", "HTTP/1.1 400 Bad Request", "This is an HTTP/1.1 server: GET /metrics\n")]
    [InlineData("GET /metrics HTTP/1.1\r\n", "HTTP/1.1 400 Bad Request", "This is an HTTP/1.1 server: GET /metrics\n")]
    [InlineData("", "HTTP/1.1 400 Bad Request", "This is an HTTP/1.1 server: GET /metrics\n")]
    public async Task Each_request_gets_its_answer(string request, string status, string body)
    {
        string[] answer = (await AnswerAsync(Encoding.ASCII.GetBytes(request))).Split("\r\n\r\n", 2);
        Assert.StartsWith(status + "\r\n", answer[0] + "\r\n", StringComparison.Ordinal);
        Assert.Contains("\r\nConnection: close", answer[0], StringComparison.Ordinal);
        Assert.Equal(body, answer[1]);
    }

    [Fact]
    public async Task A_request_that_does_not_end_is_not_read_for_ever() =>
        Assert.StartsWith("HTTP/1.1 400 ", await AnswerAsync([.. Enumerable.Repeat((byte)'x', 1 << 20)]),
            StringComparison.Ordinal);

    private static async Task<string> AnswerAsync(byte[] request)
    {
        using MemoryStream input = new(request), output = new();
        await HttpExchange.AnswerAsync(
            input, output, _ => Task.FromResult("page"u8.ToArray()), TestContext.Current.CancellationToken);
        Assert.InRange(input.Position, 0, 8192);
        return Encoding.UTF8.GetString(output.ToArray());
    }
}
