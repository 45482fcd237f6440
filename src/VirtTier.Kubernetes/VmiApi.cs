// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Text.Json;
using VirtTier.Primitives;

namespace VirtTier.Kubernetes;

/// <summary>
/// Lists and watches the VirtualMachineInstances of one node. Of each only the metadata is asked for: a VM's specification may
/// have its owner's passwords in it (cloud-init), which are no matter of ours.
/// </summary>
/// <param name="client">Has the server's address, its CA, and the token or certificate to show it.</param>
/// <param name="node">The node's name.</param>
internal sealed class VmiApi(k8s.Kubernetes client, string node)
{
    private const string Path = "apis/kubevirt.io/v1/virtualmachineinstances";

    // KubeVirt keeps it on the VM's node; with a migration it goes to the new node's name.
    private const string NodeLabel = "kubevirt.io/nodeName";

    private const int LongestError = 64 << 10;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    /// <summary>All VMs of the node.</summary>
    /// <param name="version"><c>0</c>: as the server remembers them, which costs it little; empty: as they are.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="ApiException">The server refuses.</exception>
    /// <exception cref="HttpRequestException">It cannot be reached.</exception>
    /// <exception cref="IOException">The connection broke off.</exception>
    /// <exception cref="JsonException">It answered something else.</exception>
    /// <exception cref="TimeoutException">It took too long.</exception>
    internal async Task<VmiList> ListAsync(string version, CancellationToken cancel)
    {
        return await WithinAsync(s_patience, async limited =>
        {
            string query = version.Length > 0 ? $"&resourceVersion={Uri.EscapeDataString(version)}" : "";
            using HttpResponseMessage response =
                await SendAsync("PartialObjectMetadataList", query, limited).ConfigureAwait(false);
            using Stream stream = await response.Content.ReadAsStreamAsync(limited).ConfigureAwait(false);
            return await JsonSerializer.DeserializeAsync(stream, VmiJson.Default.VmiList, limited).ConfigureAwait(false)
                ?? throw new JsonException("a list is expected");
        }, cancel).ConfigureAwait(false);
    }

    /// <summary>What changes after a version, until the server ends it, or <paramref name="duration"/> has passed.</summary>
    /// <exception cref="ApiException">The server refuses, or does not know the version any more.</exception>
    /// <exception cref="HttpRequestException">It cannot be reached.</exception>
    /// <exception cref="IOException">The connection broke off.</exception>
    /// <exception cref="JsonException">It sent something else.</exception>
    /// <exception cref="TimeoutException">It did not end it.</exception>
    internal async IAsyncEnumerable<WatchEvent> WatchAsync(
        string version, TimeSpan duration, [EnumeratorCancellation] CancellationToken cancel)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(duration + s_patience);
        string query = string.Create(CultureInfo.InvariantCulture,
            $"&watch=true&allowWatchBookmarks=true&resourceVersion={Uri.EscapeDataString(version)}"
                + $"&timeoutSeconds={(int)duration.TotalSeconds}");
        using HttpResponseMessage response = await WithinAsync(s_patience,
            limited => SendAsync("PartialObjectMetadata", query, limited), limit.Token).ConfigureAwait(false);
        using Stream stream = await response.Content.ReadAsStreamAsync(limit.Token).ConfigureAwait(false);
        IAsyncEnumerator<WatchEvent?> events = JsonSerializer.DeserializeAsyncEnumerable(
            stream, VmiJson.Default.WatchEvent, topLevelValues: true, limit.Token).GetAsyncEnumerator(limit.Token);
        await using (events.ConfigureAwait(false))
        {
            while (await NextAsync().ConfigureAwait(false))
            {
                WatchEvent change = events.Current ?? throw new JsonException("an event is expected");
                if (change.Type == "ERROR")
                    throw ApiException.Of(change.Object);
                yield return change;
            }
        }

        async Task<bool> NextAsync()
        {
            try
            {
                return await events.MoveNextAsync().ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                throw new TimeoutException("the API server does not end a watch when it should");
            }
        }
    }

    private async Task<HttpResponseMessage> SendAsync(string kind, string query, CancellationToken cancel)
    {
        using HttpRequestMessage request = new(
            HttpMethod.Get, new Uri(client.BaseUri, $"{Path}?labelSelector={Uri.EscapeDataString($"{NodeLabel}={node}")}{query}"))
        {
            Version = HttpVersion.Version20,
        };
        MediaTypeWithQualityHeaderValue metadataOnly = new("application/json");
        foreach ((string name, string value) in (ReadOnlySpan<(string, string)>)[("as", kind), ("g", "meta.k8s.io"), ("v", "v1")])
            metadataOnly.Parameters.Add(new(name, value));
        request.Headers.Accept.Add(metadataOnly);
        request.Headers.Accept.Add(new("application/json", 0.1)); // from a server that cannot, all of it
        if (client.Credentials is not null)
            await client.Credentials.ProcessHttpRequestAsync(request, cancel).ConfigureAwait(false);
        HttpResponseMessage response =
            await client.HttpClient.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancel).ConfigureAwait(false);
        if (response.IsSuccessStatusCode)
            return response;
        using (response)
            throw new ApiException(response.StatusCode, await ReadErrorAsync(response, cancel).ConfigureAwait(false));
    }

    private static async Task<string> ReadErrorAsync(HttpResponseMessage response, CancellationToken cancel)
    {
        using Stream stream = await response.Content.ReadAsStreamAsync(cancel).ConfigureAwait(false);
        byte[] text = new byte[LongestError];
        int length = await stream.ReadAtLeastAsync(text, text.Length, throwOnEndOfStream: false, cancel).ConfigureAwait(false);
        try
        {
            using JsonDocument status = JsonDocument.Parse(text.AsMemory(0, length));
            return ApiException.Of(status.RootElement).Message;
        }
        catch (JsonException)
        {
            return response.ReasonPhrase ?? "";
        }
    }

    private static async Task<T> WithinAsync<T>(TimeSpan time, Func<CancellationToken, Task<T>> act, CancellationToken cancel)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(time);
        try
        {
            return await act(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new TimeoutException($"the API server does not answer within {time.TotalSeconds:0} s");
        }
    }
}

/// <summary>The API server refuses.</summary>
internal sealed class ApiException(HttpStatusCode status, string message) : Exception(message)
{
    /// <summary>As which status of HTTP.</summary>
    internal HttpStatusCode Status { get; } = status;

    /// <summary>What a <c>Status</c> object says.</summary>
    internal static ApiException Of(JsonElement status)
    {
        int code = 0;
        string? message = null;
        if (status.ValueKind == JsonValueKind.Object)
        {
            if (status.TryGetProperty("code", out JsonElement number) && number.ValueKind == JsonValueKind.Number)
                _ = number.TryGetInt32(out code);
            if (status.TryGetProperty("message", out JsonElement text) && text.ValueKind == JsonValueKind.String)
                message = text.GetString();
        }
        return new((HttpStatusCode)code, Shorten.Sentence(message ?? "it does not say why"));
    }
}
