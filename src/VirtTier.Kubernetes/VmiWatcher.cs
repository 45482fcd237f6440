// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Net;
using System.Text.Json;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;

namespace VirtTier.Kubernetes;

/// <summary>
/// Keeps the file of the node's VMs as the API has them. While the API is away the file stays as it is. Whatever the server does,
/// it is asked no more than twice between two pauses, which grow.
/// </summary>
/// <param name="api">The API server.</param>
/// <param name="file">The file; see <see cref="VmiSettingsFile"/>.</param>
/// <param name="time">The clock.</param>
/// <param name="random">From 0 to 1: the agents of a fleet shall not ask all at once.</param>
/// <param name="logger">Gets a line when something changes that a person should know.</param>
internal sealed class VmiWatcher(VmiApi api, string file, TimeProvider time, Func<double> random, ILogger logger)
{
    /// <summary>The first pause and the longest; a watch that lasted as long as the longest makes the next pause the first
    /// again.</summary>
    internal static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1), LongestPause = TimeSpan.FromSeconds(60);

    // Of one outage: a server may have a new word for it each time.
    private const int MostTold = 5;

    private const int MostVmis = 1000;

    private static readonly TimeSpan s_watch = TimeSpan.FromMinutes(5);

    private readonly Dictionary<(string Namespace, string Name), VmiSettings> _vmis = [];
    private byte[]? _written;
    private readonly HashSet<string> _told = [];
    private bool _isOddTold, _isManyTold;

    /// <summary>Watches until cancelled.</summary>
    internal async Task RunAsync(CancellationToken cancel)
    {
        string? version = null; // null: to be listed
        string listFrom = "0";
        TimeSpan pause = FirstPause;
        while (true)
        {
            long begun = time.GetTimestamp();
            try
            {
                if (version is null)
                {
                    version = await ListAsync(listFrom, cancel).ConfigureAwait(false);
                    listFrom = "0";
                }
                Save();
                TimeSpan watch = s_watch * (1 + random());
                await foreach (WatchEvent change in api.WatchAsync(version, watch, cancel).ConfigureAwait(false))
                {
                    Take(change);
                    version = VmiMetadata.VersionOf(change.Object) ?? version;
                    Save();
                }
            }
            catch (ApiException e)
            {
                // What the server remembers may be as old as what it does not know any more.
                if (e.Status is HttpStatusCode.Gone or HttpStatusCode.GatewayTimeout)
                    listFrom = "";
                version = null;
                if (e.Status != HttpStatusCode.Gone)
                    Complain(Explain(e));
            }
            catch (JsonException e)
            {
                version = null;
                Complain($"the API server's answer cannot be read: {e.Message}");
            }
            catch (Exception e) when (e is HttpRequestException or IOException or TimeoutException or UnauthorizedAccessException)
            {
                // .NET refers to the exception in it for what is wrong with TLS.
                Complain(e.InnerException is { } inner && !e.Message.Contains(inner.Message, StringComparison.Ordinal)
                    ? $"{e.Message} {inner.Message}"
                    : e.Message);
            }

            if (time.GetElapsedTime(begun) >= LongestPause)
            {
                pause = FirstPause;
                _told.Clear();
            }
            await Task.Delay(pause * (0.5 + (0.5 * random())), time, cancel).ConfigureAwait(false);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }
    }

    private async Task<string> ListAsync(string from, CancellationToken cancel)
    {
        VmiList list = await api.ListAsync(from, cancel).ConfigureAwait(false);
        if (list is not { Metadata.ResourceVersion: { Length: > 0 } version, Items: { } items })
            throw new JsonException("a list with a version is expected");
        _vmis.Clear();
        foreach (ListedVmi item in items)
            Put(item.Vmi);
        WatcherLog.Listed(logger, _vmis.Count);
        return version;
    }

    private void Take(WatchEvent change)
    {
        switch (change.Type)
        {
            case "ADDED" or "MODIFIED":
                Put(VmiMetadata.Read(change.Object));
                break;
            case "DELETED" when VmiMetadata.Read(change.Object) is { } gone: // also one whose label has another node now
                _vmis.Remove((gone.Namespace, gone.Name));
                break;
        }
    }

    private void Put(VmiSettings? vmi)
    {
        if (vmi is not null)
        {
            _vmis[(vmi.Namespace, vmi.Name)] = vmi;
        }
        else if (!_isOddTold)
        {
            _isOddTold = true;
            WatcherLog.OddVmi(logger);
        }
    }

    private void Save()
    {
        VmiSettings[] vmis = [.. _vmis.Values.OrderBy(vmi => vmi.Namespace, StringComparer.Ordinal)
            .ThenBy(vmi => vmi.Name, StringComparer.Ordinal).Take(MostVmis)];
        if (_vmis.Count > MostVmis && !_isManyTold)
        {
            _isManyTold = true;
            WatcherLog.ManyVmis(logger, MostVmis);
        }
        byte[] text = VmiSettingsFile.ToBytes(vmis);
        if (_written is not null && text.AsSpan().SequenceEqual(_written))
            return;
        WholeFile.Replace(file, text);
        _written = text;
    }

    private void Complain(string problem)
    {
        problem = Shorten.Line(problem);
        if (_told.Count < MostTold && _told.Add(problem))
            WatcherLog.Waiting(logger, problem);
    }

    private static string Explain(ApiException e) => string.Create(CultureInfo.InvariantCulture,
        $"the API server answers {(int)e.Status}: {e.Message}") + e.Status switch
        {
            HttpStatusCode.Unauthorized => "; its token or certificate is not known there",
            HttpStatusCode.Forbidden =>
                "; it needs the rights list and watch on virtualmachineinstances of kubevirt.io, in all namespaces",
            HttpStatusCode.NotFound => "; KubeVirt is not installed there, or has not kubevirt.io/v1",
            _ => "",
        };
}
