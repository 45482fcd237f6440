// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Text.Json.Nodes;
using k8s;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Kubernetes.Tests;

/// <summary>What the watcher asks of an API server, and what it makes of all that one may answer.</summary>
public sealed class VmiWatcherTests : IAsyncLifetime
{
    private static readonly string[] s_nothing = [];

    private readonly string _directory = Directory.CreateTempSubdirectory("vt-kube-").FullName;
    private readonly ManualTime _time = new();
    private readonly FakeLog _log = new();
    private readonly CancellationTokenSource _stop = new();
    private StubApiServer _server = null!;
    private k8s.Kubernetes _client = null!;
    private Task _running = Task.CompletedTask;

    private string SettingsFile => Path.Combine(_directory, "settings.json");

    public async ValueTask InitializeAsync() => _server = await StubApiServer.StartAsync();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _running);
        _client.Dispose();
        await _server.DisposeAsync();
        _stop.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task The_file_has_the_vms_of_the_node_and_follows_them()
    {
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "25%"), ("other.org/dram", "1"));
        _server.Put("prod", "web2", "node2", ("virttier.org/dram", "50%"));
        _server.Put("prod", "web3", null, ("virttier.org/dram", "75%"));
        Start();
        await HasAsync("prod/web1 dram=25%");

        _server.Put("dev", "db", "node1");
        await HasAsync("dev/db", "prod/web1 dram=25%");
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "30%"), ("virttier.org/mode", "observe"));
        await HasAsync("dev/db", "prod/web1 dram=30% mode=observe");
        _server.Put("prod", "web1", "node1");
        await HasAsync("dev/db", "prod/web1");
        _server.Delete("dev", "db");
        await HasAsync("prod/web1");
        Assert.Equal(["list", "watch"], Verbs());
    }

    [Fact]
    public async Task It_asks_for_the_metadata_of_its_nodes_vms_and_for_nothing_else()
    {
        _server.Put("prod", "web1", "node1");
        Start();
        await Eventually.IsTrue(() => _server.OpenWatches == 1);

        (ApiRequest list, ApiRequest watch) = (_server.Requests[0], _server.Requests[1]);
        Assert.Equal(new Dictionary<string, string>
        {
            ["labelSelector"] = "kubevirt.io/nodeName=node1",
            ["resourceVersion"] = "0",
        }, list.Query);
        Assert.Equal(new Dictionary<string, string>
        {
            ["labelSelector"] = "kubevirt.io/nodeName=node1",
            ["resourceVersion"] = _server.Version,
            ["watch"] = "true",
            ["allowWatchBookmarks"] = "true",
            ["timeoutSeconds"] = "600",
        }, watch.Query);
        Assert.Equal("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;q=0.1", list.Accept);
        Assert.Equal("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;q=0.1", watch.Accept);
        Assert.All(_server.Requests, request => Assert.Equal("Bearer " + StubApiServer.Token, request.Authorization));
    }

    [Fact]
    public async Task A_vm_that_migrates_goes_here_and_appears_there()
    {
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "25%"));
        _server.Put("prod", "web2", "node2", ("virttier.org/dram", "50%"));
        Start();
        await HasAsync("prod/web1 dram=25%");

        _server.Put("prod", "web1", "node2", ("virttier.org/dram", "25%"));
        await HasAsync(s_nothing);
        _server.Put("prod", "web2", "node1", ("virttier.org/dram", "50%"));
        await HasAsync("prod/web2 dram=50%");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task After_a_watch_has_ended_it_goes_on_from_there(bool brokenOff)
    {
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "25%"));
        Start();
        await Eventually.IsTrue(() => _server.OpenWatches == 1);
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "26%"));
        await HasAsync("prod/web1 dram=26%");
        string version = _server.Version;
        if (brokenOff)
            _server.Disconnect();
        else
            _server.EndWatches();
        await _time.UntilAwaitedAsync(VmiWatcher.FirstPause);
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "27%")); // while nobody watches
        _time.Advance(VmiWatcher.FirstPause);

        await HasAsync("prod/web1 dram=27%");
        Assert.Equal(["list", "watch", "watch"], Verbs());
        Assert.Equal(version, _server.Requests[2]["resourceVersion"]);
    }

    [Fact]
    public async Task A_bookmark_is_where_the_next_watch_goes_on()
    {
        Start();
        await Eventually.IsTrue(() => _server.OpenWatches == 1);
        _server.SendBookmark();
        _server.EndWatches();
        await _time.UntilAwaitedAsync(VmiWatcher.FirstPause);
        string version = _server.Version;
        _time.Advance(VmiWatcher.FirstPause);
        await Eventually.IsTrue(() => _server.Requests.Count == 3);
        Assert.Equal(version, _server.Requests[2]["resourceVersion"]);
    }

    [Theory]
    [InlineData("by its status")]
    [InlineData("by an event")]
    public async Task What_the_server_has_forgotten_is_listed_anew_from_its_newest_state(string how)
    {
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "25%"));
        _server.Put("prod", "web2", "node1");
        Start();
        await Eventually.IsTrue(() => _server.OpenWatches == 1);
        if (how == "by an event")
            _server.Send("""{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}""");
        else
            _server.EndWatches();
        await Eventually.IsTrue(() => _server.OpenWatches == 0);
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "30%"));
        _server.Delete("prod", "web2");
        _server.Compact();
        await _time.UntilAwaitedAsync(VmiWatcher.FirstPause);
        Assert.Equal(["prod/web1 dram=25%", "prod/web2"], Found());
        _time.Advance(VmiWatcher.FirstPause);
        if (how == "by its status")
        {
            await _time.UntilAwaitedAsync(VmiWatcher.FirstPause * 2);
            _time.Advance(VmiWatcher.FirstPause * 2);
        }

        await HasAsync("prod/web1 dram=30%");
        Assert.Null(_server.Requests.Last(request => request.Verb == "list")["resourceVersion"]);
        Assert.DoesNotContain(_log.Lines, line => line.Contains("last known", StringComparison.Ordinal)); // nothing is wrong
    }

    public static TheoryData<string> Failures =>
        ["refuses", "says nothing sensible", "breaks off", "ends at once", "is unauthorized", "half a list", "another list"];

    [Theory]
    [MemberData(nameof(Failures))]
    public async Task Whatever_a_server_does_it_is_not_stormed_and_what_was_known_stays(string how)
    {
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "25%"));
        Start();
        await HasAsync("prod/web1 dram=25%");
        await Eventually.IsTrue(() => _server.OpenWatches == 1);
        _server.Instead = (request, context) => FailAsync(how, request, context);
        _server.Disconnect();

        int before = _server.Requests.Count;
        TimeSpan pause = VmiWatcher.FirstPause;
        for (int tries = 0; tries < 10; tries++)
        {
            await _time.UntilAwaitedAsync(pause);
            Assert.InRange(_server.Requests.Count - before, 0, tries * 2);
            _time.Advance(pause);
            pause = pause * 2 < VmiWatcher.LongestPause ? pause * 2 : VmiWatcher.LongestPause;
        }
        await _time.UntilAwaitedAsync(VmiWatcher.LongestPause);
        Assert.InRange(_server.Requests.Count - before, 10, 20);
        Assert.Equal(["prod/web1 dram=25%"], Found());
        Assert.InRange(_log.LinesFrom(LogLevel.Warning).Count, 1, 5);

        _server.Instead = null;
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "50%"));
        _time.Advance(VmiWatcher.LongestPause);
        await HasAsync("prod/web1 dram=50%");
        // One that lasts makes the pauses short again.
        await Eventually.IsTrue(() => _server.OpenWatches == 1);
        _time.Advance(VmiWatcher.LongestPause);
        _server.EndWatches();
        await _time.UntilAwaitedAsync(VmiWatcher.FirstPause);
    }

    [Theory]
    [InlineData(HttpStatusCode.Forbidden, "needs the rights list and watch on virtualmachineinstances")]
    [InlineData(HttpStatusCode.NotFound, "KubeVirt is not installed there")]
    [InlineData(HttpStatusCode.Unauthorized, "token or certificate is not known there")]
    public async Task What_is_missing_is_said_once(HttpStatusCode status, string said)
    {
        _server.Instead = async (_, context) =>
        {
            await StubApiServer.RefuseAsync(context, status, "so it \u001b[2J is");
            return true;
        };
        Start();
        await _time.UntilAwaitedAsync(VmiWatcher.FirstPause);
        _time.Advance(VmiWatcher.FirstPause);
        await _time.UntilAwaitedAsync(VmiWatcher.FirstPause * 2);
        string line = Assert.Single(_log.Lines);
        Assert.Contains(said, line, StringComparison.Ordinal);
        Assert.Contains("so it \\u001b[2J is", line, StringComparison.Ordinal);
        Assert.False(File.Exists(SettingsFile)); // nothing is known, which is not the same as that there is nothing
    }

    [Fact]
    public async Task What_is_wrong_with_tls_is_said()
    {
        // A server that has no TLS.
        Start(new KubernetesClientConfiguration { Host = $"https://127.0.0.1:{_server.Address.Port}", SkipTlsVerify = true });
        await _time.UntilAwaitedAsync(VmiWatcher.FirstPause);
        Assert.Contains(
            "see inner exception. Cannot determine the frame size", Assert.Single(_log.Lines), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_is_not_there_at_first_is_waited_for()
    {
        int port = _server.Address.Port;
        await _server.DisposeAsync();
        Start(port);
        await _time.UntilAwaitedAsync(VmiWatcher.FirstPause);
        Assert.Single(_log.Lines);
        _server = await StubApiServer.StartAsync(port);
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "25%"));
        _time.Advance(VmiWatcher.FirstPause);
        await HasAsync("prod/web1 dram=25%");
    }

    [Fact]
    public async Task What_is_odd_about_one_vm_is_no_matter_of_the_others()
    {
        _server.Put("prod", "list", "node1", new JsonArray("virttier.org/dram"));
        _server.Put("prod", "number", "node1", new JsonObject { ["virttier.org/dram"] = 25 });
        _server.Put("prod", "null", "node1", (JsonNode?)null);
        _server.Put("", "nobody", "node1", ("virttier.org/dram", "25%"));
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "25%"));
        Start();
        await HasAsync("prod/null", "prod/web1 dram=25%");
        await Eventually.IsTrue(() => _server.OpenWatches == 1);

        _server.Send("""{"type":"MODIFIED","object":{"metadata":{"name":"web1","namespace":"prod","annotations":7}}}""");
        _server.Send("""{"type":"MODIFIED","object":[]}""");
        _server.Send("""{"type":"MODIFIED"}""");
        _server.Send("""{"type":"ODD","object":{"metadata":{"name":"web1","namespace":"prod"}}}""");
        _server.Put("prod", "web2", "node1");
        await HasAsync("prod/null", "prod/web1 dram=25%", "prod/web2");
        Assert.Equal(["list", "watch"], Verbs());
        Assert.Single(_log.LinesFrom(LogLevel.Warning));
    }

    [Fact]
    public async Task Annotations_without_measure_take_no_room_and_make_no_setting()
    {
        (string, string)[] many = [.. Enumerable.Range(0, 1000).Select(i => ($"virttier.org/k{i}", new string('"', 200)))];
        for (int vm = 0; vm < 20; vm++)
            _server.Put("prod", $"big{vm:00}", "node1", [.. many, ("x", new string('x', 200_000))]);
        _server.Put("prod", "bad", "node1",
            ("virttier.org/dram", "25%" + new string(' ', 200)), ("virttier.org/min", "1%\u00a0"));
        Start();
        await Eventually.IsTrue(() => Found().Length == 21);
        // No value that is cut, or has what cannot be shown, is one that the agent takes.
        Assert.Equal($"prod/bad dram=25%{new string(' ', 97)}... min=1%?", Found()[0]);
        Assert.InRange(new FileInfo(SettingsFile).Length, 0, VmiSettingsFile.MostBytes / 1000 * 21);
    }

    [Fact]
    public async Task No_number_of_vms_makes_a_file_that_the_agent_does_not_read()
    {
        string name = new('n', 253);
        (string, string)[] most =
            [.. Enumerable.Range(0, 20).Select(i => ($"virttier.org/{i}{new string('k', 300)}", new string('"', 300)))];
        for (int vm = 0; vm < 1100; vm++)
            _server.Put(new string('p', 63), $"{name[4..]}{vm:0000}", "node1", most);
        Start();
        await Eventually.IsTrue(() => Found().Length == 1000);
        Assert.InRange(new FileInfo(SettingsFile).Length, 0, VmiSettingsFile.MostBytes);
        Assert.Single(_log.LinesFrom(LogLevel.Warning));
    }

    [Fact]
    public async Task A_file_that_cannot_be_written_is_written_later()
    {
        Directory.CreateDirectory(SettingsFile);
        _server.Put("prod", "web1", "node1", ("virttier.org/dram", "25%"));
        Start();
        await _time.UntilAwaitedAsync(VmiWatcher.FirstPause);
        Assert.Contains("settings.json", Assert.Single(_log.LinesFrom(LogLevel.Warning)), StringComparison.Ordinal);
        Directory.Delete(SettingsFile);
        _time.Advance(VmiWatcher.FirstPause);
        await HasAsync("prod/web1 dram=25%");
    }

    private static async Task<bool> FailAsync(string how, ApiRequest request, HttpContext context)
    {
        switch (how)
        {
            case "refuses":
                await StubApiServer.RefuseAsync(context, HttpStatusCode.ServiceUnavailable, "busy");
                return true;
            case "is unauthorized":
                context.Response.StatusCode = 401;
                return true;
            case "says nothing sensible":
                await context.Response.WriteAsync("<html>\n");
                return true;
            case "breaks off":
                await context.Response.WriteAsync("{\"type\":");
                await context.Response.Body.FlushAsync();
                context.Abort();
                return true;
            case "half a list" when request.Verb == "list":
                await context.Response.WriteAsync("{\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[");
                return true;
            case "another list" when request.Verb == "list":
                await context.Response.WriteAsync("{\"kind\":\"Status\",\"status\":\"Success\"}");
                return true;
            case "half a list" or "another list":
                await StubApiServer.RefuseAsync(context, HttpStatusCode.Gone, "list it");
                return true;
            default:
                return request.Verb == "watch"; // an empty answer
        }
    }

    private void Start(int? port = null) => Start(new KubernetesClientConfiguration
    {
        Host = port is null ? _server.Address.ToString() : $"http://127.0.0.1:{port}",
        AccessToken = StubApiServer.Token,
    });

    private void Start(KubernetesClientConfiguration configuration)
    {
        _client = new(configuration);
        VmiWatcher watcher = new(new(_client, "node1"), SettingsFile, _time, () => 1, _log);
        _running = watcher.RunAsync(_stop.Token);
    }

    private string[] Verbs() => [.. _server.Requests.Select(request => request.Verb)];

    private Task HasAsync(params string[] expected) => Eventually.IsTrue(
        () => File.Exists(SettingsFile) && Found().SequenceEqual(expected),
        () => $"{string.Join(", ", expected)}, but {string.Join(", ", Found())}; {string.Join(", ", _log.Lines)}");

    /// <summary>What the agent reads.</summary>
    private string[] Found() => !File.Exists(SettingsFile) ? [] :
        [.. VmiSettingsFile.Parse(BoundedFile.ReadBytes(SettingsFile, VmiSettingsFile.MostBytes)).Select(vmi => string.Join(' ',
            [$"{vmi.Namespace}/{vmi.Name}", .. vmi.Settings.Select(setting => $"{setting.Key}={setting.Value}").Order()]))];
}
