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
        using Duplex client = new(request);
        await HttpExchange.AnswerAsync(
            client, () => Task.FromResult("page"u8.ToArray()), TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
        Assert.InRange(client.Asked.Position, 0, HttpExchange.MostRequestBytes);
        return Encoding.UTF8.GetString(client.Answered.ToArray());
    }

    /// <summary>A connection whose two ways are two buffers.</summary>
    private sealed class Duplex(byte[] request) : Stream
    {
        public MemoryStream Asked { get; } = new(request);

        public MemoryStream Answered { get; } = new();

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => Asked.Read(buffer, offset, count);

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => Answered.Write(buffer, offset, count);
    }
}
