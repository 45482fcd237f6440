// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace VirtTier.Kubernetes.Tests;

/// <summary>A request that the stub got, as the rules of RBAC see it and as it was written.</summary>
internal sealed record ApiRequest(
    string Verb, string ApiGroup, string Resource, IReadOnlyDictionary<string, string> Query, string Accept,
    string? Authorization)
{
    internal string? this[string key] => Query.GetValueOrDefault(key);
}

/// <summary>
/// An API server that has VirtualMachineInstances and nothing else, on the loopback. It refuses what a real one would: other
/// paths, methods, query parameters, tokens and versions, and gives no more than the metadata to who asks for that.
/// </summary>
internal sealed class StubApiServer : IAsyncDisposable
{
    internal const string Token = "a-token";

    // What ListOptions of the API has.
    private static readonly string[] s_parameters =
    [
        "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "resourceVersion", "resourceVersionMatch",
        "timeoutSeconds", "watch",
    ];

    private readonly WebApplication _app;
    private readonly Lock _lock = new();
    private readonly List<ApiRequest> _requests = [];
    private readonly Dictionary<(string, string), JsonObject> _vmis = [];
    private readonly List<(int Version, JsonObject? Before, JsonObject After, bool IsGone)> _history = [];
    private readonly List<Watch> _watches = [];
    private int _version = 100, _forgotten = 100;

    private StubApiServer(WebApplication app) => _app = app;

    /// <summary>Answers in its stead; false: the stub answers as usual.</summary>
    internal Func<ApiRequest, HttpContext, Task<bool>>? Instead { get; set; }

    internal Uri Address => new(_app.Urls.Single());

    internal IReadOnlyList<ApiRequest> Requests
    {
        get
        {
            lock (_lock)
                return [.. _requests];
        }
    }

    internal int OpenWatches
    {
        get
        {
            lock (_lock)
                return _watches.Count;
        }
    }

    internal string Version
    {
        get
        {
            lock (_lock)
                return _version.ToString(CultureInfo.InvariantCulture);
        }
    }

    internal static async Task<StubApiServer> StartAsync(int port = 0)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port));
        StubApiServer stub = new(builder.Build());
        stub._app.Run(stub.AnswerAsync);
        await stub._app.StartAsync(TestContext.Current.CancellationToken);
        return stub;
    }

    public async ValueTask DisposeAsync()
    {
        Disconnect();
        await _app.StopAsync(CancellationToken.None);
        await _app.DisposeAsync();
    }

    /// <summary>Adds a VM, or replaces it.</summary>
    internal void Put(string @namespace, string name, string? node, params (string Key, string Value)[] annotations) =>
        Put(@namespace, name, node, new JsonObject(annotations.Select(a => KeyValuePair.Create(a.Key, (JsonNode?)a.Value))));

    internal void Put(string @namespace, string name, string? node, JsonNode? annotations)
    {
        JsonObject vmi = new()
        {
            ["apiVersion"] = "kubevirt.io/v1",
            ["kind"] = "VirtualMachineInstance",
            ["metadata"] = new JsonObject
            {
                ["name"] = name,
                ["namespace"] = @namespace,
                ["labels"] = new JsonObject { ["kubevirt.io/nodeName"] = node },
                ["annotations"] = annotations,
            },
            ["spec"] = new JsonObject { ["volumes"] = "userData: password" },
        };
        Change((@namespace, name), vmi, isGone: false);
    }

    internal void Delete(string @namespace, string name) => Change((@namespace, name), null, isGone: true);

    /// <summary>Forgets how the present state came about.</summary>
    internal void Compact()
    {
        lock (_lock)
        {
            _history.Clear();
            _forgotten = ++_version;
        }
    }

    /// <summary>Breaks all watches off, without an end.</summary>
    internal void Disconnect() => ForEach(watch => watch.Abort());

    /// <summary>Ends all watches, as after their time.</summary>
    internal void EndWatches() => ForEach(watch => watch.Lines.Writer.TryComplete());

    /// <summary>Sends a line to all watches.</summary>
    internal void Send(string line) => ForEach(watch => watch.Lines.Writer.TryWrite(line));

    /// <summary>Tells all who asked for it how far they are.</summary>
    internal void SendBookmark()
    {
        lock (_lock)
            _version++;
        string line = new JsonObject
        {
            ["type"] = "BOOKMARK",
            ["object"] = new JsonObject { ["metadata"] = new JsonObject { ["resourceVersion"] = Version } },
        }.ToJsonString();
        ForEach(watch => _ = watch.WantsBookmarks && watch.Lines.Writer.TryWrite(line));
    }

    private void ForEach(Action<Watch> act)
    {
        lock (_lock)
            _watches.ForEach(act);
    }

    private void Change((string, string) key, JsonObject? vmi, bool isGone)
    {
        lock (_lock)
        {
            JsonObject? before = _vmis.GetValueOrDefault(key);
            JsonObject after = (JsonObject)(vmi ?? before!).DeepClone();
            after["metadata"]!["resourceVersion"] = (++_version).ToString(CultureInfo.InvariantCulture);
            if (isGone)
                _vmis.Remove(key);
            else
                _vmis[key] = after;
            var change = (_version, before, after, isGone);
            _history.Add(change);
            foreach (Watch watch in _watches)
                Tell(watch, change);
        }
    }

    private static void Tell(Watch watch, (int Version, JsonObject? Before, JsonObject After, bool IsGone) change)
    {
        bool was = change.Before is not null && watch.Selects(change.Before), matches = watch.Selects(change.After);
        string? type = (was, matches, change.IsGone) switch
        {
            (true, _, true) or (true, false, _) => "DELETED",
            (true, true, _) => "MODIFIED",
            (false, true, false) => "ADDED",
            _ => null,
        };
        if (type is not null)
        {
            watch.Lines.Writer.TryWrite(
                new JsonObject { ["type"] = type, ["object"] = Shown(change.After, watch.MetadataOnly) }.ToJsonString());
        }
    }

    private async Task AnswerAsync(HttpContext context)
    {
        Dictionary<string, string> query = context.Request.Query.ToDictionary(pair => pair.Key, pair => pair.Value.Single()!);
        string[] path = context.Request.Path.Value!.Split('/', StringSplitOptions.RemoveEmptyEntries);
        bool isWatch = query.GetValueOrDefault("watch") == "true";
        ApiRequest request = new(
            context.Request.Method != "GET" ? "write" : isWatch ? "watch" : "list",
            path.ElementAtOrDefault(1) ?? "", path.ElementAtOrDefault(3) ?? "", query,
            context.Request.Headers.Accept.ToString().Replace(" ", "", StringComparison.Ordinal),
            context.Request.Headers.Authorization.SingleOrDefault());
        lock (_lock)
            _requests.Add(request);
        if (Instead is { } instead && await instead(request, context))
            return;

        if (request.Authorization != "Bearer " + Token)
            await RefuseAsync(context, HttpStatusCode.Unauthorized, "Unauthorized");
        else if (context.Request.Path != "/apis/kubevirt.io/v1/virtualmachineinstances" || request.Verb == "write")
            await RefuseAsync(context, HttpStatusCode.Forbidden, $"{request.Verb} {context.Request.Path} is forbidden");
        else if (query.Keys.FirstOrDefault(key => !s_parameters.Contains(key)) is { } odd)
            await RefuseAsync(context, HttpStatusCode.BadRequest, $"there is no parameter {odd}");
        else if (isWatch)
            await WatchAsync(context, request);
        else
            await ListAsync(context, request);
    }

    private Task ListAsync(HttpContext context, ApiRequest request)
    {
        string text;
        lock (_lock)
        {
            text = new JsonObject
            {
                ["kind"] = "PartialObjectMetadataList",
                ["apiVersion"] = "meta.k8s.io/v1",
                ["metadata"] = new JsonObject { ["resourceVersion"] = Version },
                ["items"] = new JsonArray([.. _vmis.Values.Where(vmi => Selects(request, vmi))
                    .Select(vmi => (JsonNode)Shown(vmi, request.Accept.Contains("as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                        StringComparison.Ordinal)))]),
            }.ToJsonString();
        }
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(text);
    }

    private async Task WatchAsync(HttpContext context, ApiRequest request)
    {
        int from = int.Parse(request["resourceVersion"]!, CultureInfo.InvariantCulture);
        Watch watch = new(request, context.Abort);
        string? gone = null;
        lock (_lock)
        {
            if (from < _forgotten)
            {
                gone = $"too old resource version: {from} ({_version})";
            }
            else
            {
                foreach (var change in _history.Where(change => change.Version > from))
                    Tell(watch, change);
                _watches.Add(watch);
            }
        }
        if (gone is not null)
        {
            await RefuseAsync(context, HttpStatusCode.Gone, gone);
            return;
        }
        context.Response.ContentType = "application/json;stream=watch";
        try
        {
            await context.Response.Body.FlushAsync(context.RequestAborted);
            await foreach (string line in watch.Lines.Reader.ReadAllAsync(context.RequestAborted))
            {
                await context.Response.WriteAsync(line.ReplaceLineEndings("") + "\n", context.RequestAborted);
                await context.Response.Body.FlushAsync(context.RequestAborted);
            }
        }
        catch (OperationCanceledException)
        {
            // The client has gone, or was made to.
        }
        finally
        {
            lock (_lock)
                _watches.Remove(watch);
        }
    }

    internal static Task RefuseAsync(HttpContext context, HttpStatusCode status, string message)
    {
        context.Response.StatusCode = (int)status;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(new JsonObject
        {
            ["kind"] = "Status",
            ["apiVersion"] = "v1",
            ["status"] = "Failure",
            ["message"] = message,
            ["code"] = (int)status,
        }.ToJsonString());
    }

    private static JsonObject Shown(JsonObject vmi, bool metadataOnly)
    {
        JsonObject shown = (JsonObject)vmi.DeepClone();
        if (metadataOnly)
        {
            shown["apiVersion"] = "meta.k8s.io/v1";
            shown["kind"] = "PartialObjectMetadata";
            shown.Remove("spec");
        }
        return shown;
    }

    private static bool Selects(ApiRequest request, JsonObject vmi)
    {
        string[] selector = (request["labelSelector"] ?? "").Split('=');
        return selector is [""] || (selector is [var key, var value]
            && (string?)vmi["metadata"]!["labels"]?[key] == value);
    }

    private sealed class Watch(ApiRequest request, Action abort)
    {
        internal Channel<string> Lines { get; } = Channel.CreateUnbounded<string>();

        internal bool WantsBookmarks { get; } = request["allowWatchBookmarks"] == "true";

        internal bool MetadataOnly { get; } =
            request.Accept.Contains("as=PartialObjectMetadata;g=meta.k8s.io;v=v1", StringComparison.Ordinal);

        internal void Abort() => abort();

        internal bool Selects(JsonObject vmi) => StubApiServer.Selects(request, vmi);
    }
}
