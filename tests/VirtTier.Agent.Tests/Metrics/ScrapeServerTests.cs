// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using System.Text;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Metrics;

namespace VirtTier.Agent.Tests.Metrics;

/// <summary>Whatever clients do, a scrape is answered: on real sockets.</summary>
public sealed class ScrapeServerTests : IAsyncDisposable
{
    private static readonly TimeSpan s_ample = TimeSpan.FromMinutes(5);

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly CancellationTokenSource _stop = new();
    private readonly HttpClient _client;
    private Func<Task<byte[]>> _page = () => Task.FromResult("page"u8.ToArray());
    private Task _serving = Task.CompletedTask;

    public ScrapeServerTests()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen();
        _client = new HttpClient { BaseAddress = new Uri($"http://{_listener.LocalEndPoint}/") };
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _serving;
        _client.Dispose();
        _listener.Dispose();
        _stop.Dispose();
    }

    [Theory]
    [InlineData("127.0.0.1:9755", true)]
    [InlineData("[::]:9755", true)]
    [InlineData("::", false)]
    [InlineData("127.0.0.1", false)]
    [InlineData("127.0.0.1:0", false)]
    [InlineData("9755", false)]
    [InlineData("localhost:9755", false)]
    [InlineData("", false)]
    public void Where_to_listen_has_an_address_and_a_port(string text, bool isGood)
    {
        Assert.Equal(isGood, MetricsCommand.Place(text) is not null);
        string[] errors = [.. CommandTree.Create().Parse(["metrics", "--listen", text]).Errors.Select(error => error.Message)];
        Assert.Equal(isGood ? 0 : 1, errors.Length);
    }

    [Theory]
    [InlineData("--serve", "--listen", "127.0.0.1:9755")]
    [InlineData("--serve", "--textfile", "x.prom")]
    [InlineData("--listen", "127.0.0.1:9755", "--textfile", "x.prom")]
    public void A_page_goes_to_one_place(params string[] options) => Assert.Contains("exclude each other",
        Assert.Single(CommandTree.Create().Parse(["metrics", .. options]).Errors).Message, StringComparison.Ordinal);

    [Fact]
    public async Task Scrapes_are_answered_without_systemd_and_by_one_at_a_place()
    {
        using Socket socket = MetricsCommand.Listen(new IPEndPoint(IPAddress.IPv6Any, FreePort())).Single();
        Task serving = new ScrapeServer(_ => _page(), ScrapeLimits.Usual).RunAsync([socket], _stop.Token);
        IPEndPoint place = new(IPAddress.Loopback, ((IPEndPoint)socket.LocalEndPoint!).Port);
        using HttpClient client = new() { BaseAddress = new Uri($"http://{place}/") };
        Assert.Equal("page", await client.GetStringAsync(new Uri("metrics", UriKind.Relative), Cancel));

        ActivationException e = Assert.Throws<ActivationException>(() => MetricsCommand.Listen(place));
        Assert.Contains(place.ToString(), e.Message, StringComparison.Ordinal);
        await _stop.CancelAsync();
        await serving;
    }

    [Fact]
    public async Task Clients_that_say_nothing_are_let_go_and_hold_up_a_scrape_no_longer()
    {
        Serve(new ScrapeLimits(2, TimeSpan.FromMilliseconds(200), s_ample));
        Socket[] silent = [.. await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => ConnectAsync()))];

        Assert.Equal("page", await ScrapeAsync());
        foreach (Socket client in silent)
        {
            Assert.Equal(0, await client.ReceiveAsync(new byte[1], Cancel));
            client.Dispose();
        }
    }

    [Fact]
    public async Task A_client_that_sends_a_byte_now_and_then_is_let_go_too()
    {
        Serve(new ScrapeLimits(1, TimeSpan.FromMilliseconds(500), s_ample));
        using Socket slow = await ConnectAsync();
        Task dripping = Task.Run(
            async () =>
            {
                while (true)
                {
                    await slow.SendAsync("G"u8.ToArray(), Cancel);
                    await Task.Delay(50, Cancel);
                }
            }, Cancel);

        Assert.Equal("page", await ScrapeAsync());
        await Assert.ThrowsAsync<SocketException>(() => dripping);
    }

    [Fact]
    public async Task A_client_that_does_not_read_its_answer_is_let_go()
    {
        // More than the kernel keeps for it.
        byte[] large = new byte[64 << 20];
        Queue<byte[]> pages = new([large, "page"u8.ToArray()]);
        _page = () => Task.FromResult(pages.Dequeue());
        Serve(new ScrapeLimits(1, s_ample, TimeSpan.FromSeconds(1)));
        using Socket deaf = await ConnectAsync();
        await deaf.SendAsync("GET /metrics HTTP/1.1\r\n\r\n"u8.ToArray(), Cancel);

        Assert.Equal("page", await ScrapeAsync());
    }

    [Fact]
    public async Task A_request_may_come_in_pieces()
    {
        Serve(new ScrapeLimits(1, s_ample, s_ample));
        using Socket client = await ConnectAsync();
        client.NoDelay = true;
        foreach (byte piece in "GET /metrics HTTP/1.1\r\n\r\n"u8.ToArray())
            await client.SendAsync(new[] { piece }, Cancel);
        using StreamReader answer = new(new NetworkStream(client), Encoding.ASCII);
        Assert.StartsWith("HTTP/1.1 200 OK\r\n", await answer.ReadToEndAsync(Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Many_at_once_are_all_answered_while_the_agent_is_asked_one_question_at_a_time()
    {
        int asking = 0, most = 0, asked = 0;
        _page = async () =>
        {
            most = Math.Max(most, Interlocked.Increment(ref asking));
            await Task.Yield();
            Interlocked.Decrement(ref asking);
            return Encoding.ASCII.GetBytes($"{Interlocked.Increment(ref asked)}");
        };
        Serve(ScrapeLimits.Usual);
        string[] answers = await Task.WhenAll(Enumerable.Range(0, 500).Select(_ => ScrapeAsync()));
        Assert.Equal(500, answers.Length);
        Assert.Equal(1, most);
        Assert.Equal($"{asked + 1}", await ScrapeAsync());
    }

    [Fact]
    public async Task Who_comes_while_the_agent_is_asked_shares_the_answer_and_who_comes_after_it_gets_a_new_one()
    {
        int asked = 0;
        TaskCompletionSource answered = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _page = async () =>
        {
            string page = $"{++asked}";
            await answered.Task;
            return Encoding.ASCII.GetBytes(page);
        };
        ScrapeServer server = Serve(ScrapeLimits.Usual);
        Task<byte[]>[] together = [server.PageAsync(Cancel), server.PageAsync(Cancel), server.PageAsync(Cancel)];
        answered.SetResult();
        Assert.All(await Task.WhenAll(together), page => Assert.Equal("1"u8, page));
        Assert.Equal("2", await ScrapeAsync());
    }

    [Fact]
    public async Task A_client_that_goes_away_does_no_harm()
    {
        TaskCompletionSource gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
        TaskCompletionSource asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _page = async () =>
        {
            asked.TrySetResult();
            await gone.Task;
            return "page"u8.ToArray();
        };
        Serve(new ScrapeLimits(1, s_ample, s_ample));
        using (Socket hasty = await ConnectAsync())
        {
            await hasty.SendAsync("GET /metrics HTTP/1.1\r\n\r\n"u8.ToArray(), Cancel);
            await asked.Task.WaitAsync(Cancel);
            hasty.LingerState = new LingerOption(true, 0); // resets the connection
        }
        gone.SetResult();
        Assert.Equal("page", await ScrapeAsync());
    }

    [Theory]
    [InlineData("42", "1", 1)]
    [InlineData("42", "2", 2)]
    public void Sockets_are_those_that_were_made_for_this_process(string pid, string count, int sockets) =>
        Assert.Equal(sockets, InheritedSockets.Count(pid, count, 42));

    [Theory]
    [InlineData(null, null)]
    [InlineData("41", "1")]
    [InlineData("42", null)]
    [InlineData("42", "0")]
    [InlineData("42", "-1")]
    [InlineData("42", "x")]
    public void Without_sockets_it_says_how_to_start_it(string? pid, string? count)
    {
        ActivationException e = Assert.Throws<ActivationException>(() => InheritedSockets.Count(pid, count, 42));
        Assert.Contains("systemctl start virttier-exporter.socket", e.Message, StringComparison.Ordinal);
    }

    private ScrapeServer Serve(ScrapeLimits limits)
    {
        ScrapeServer server = new(_ => _page(), limits);
        _serving = server.RunAsync([_listener], _stop.Token);
        return server;
    }

    private async Task<Socket> ConnectAsync()
    {
        Socket client = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(_listener.LocalEndPoint!, Cancel);
        return client;
    }

    private Task<string> ScrapeAsync() => _client.GetStringAsync(new Uri("metrics", UriKind.Relative), Cancel);

    private static int FreePort()
    {
        using Socket socket = new(AddressFamily.InterNetworkV6, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.IPv6Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
