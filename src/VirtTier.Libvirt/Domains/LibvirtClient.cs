// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>Libvirt does not answer, for the reason in the message, which is a sentence for people.</summary>
internal sealed class LibvirtUnavailableException(string message) : Exception(message)
{
    /// <summary>Whether there is no libvirt-dbus to ask.</summary>
    internal bool IsServiceMissing { get; init; }
}

/// <summary>
/// What is asked of libvirt-dbus. It has four worker threads and a call that blocks in libvirt (a slow hook is enough) keeps
/// one of them. So calls are made one after another; an object that has left one unanswered is not asked again before it has
/// answered; and no more than <see cref="MostUnanswered"/> are ever left waiting, so that others always get through.
/// </summary>
internal sealed class LibvirtClient(IBus bus, string driverPath, TimeSpan patience, TimeProvider time)
{
    internal const string Service = "org.libvirt";
    internal const string ConnectInterface = "org.libvirt.Connect";
    internal const string DomainInterface = "org.libvirt.Domain";

    private const int MostUnanswered = 3;
    private const string NoAnswer = "libvirt does not answer (its daemon or one of its hooks may be blocked)";

    // From libvirt-domain.h.
    private const uint ListActive = 1; // VIR_CONNECT_LIST_DOMAINS_ACTIVE
    private const uint StatsState = 1; // VIR_DOMAIN_STATS_STATE
    private const uint StatsActive = 1; // VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
    private const uint StatsNoWait = 1 << 29; // VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT

    /// <summary>How long a call that was given up on still counts as waiting in libvirt-dbus.</summary>
    private static readonly TimeSpan s_answerLimit = TimeSpan.FromMinutes(5);

    private readonly Dictionary<string, Task<BusBody>> _unanswered = []; // by object path

    /// <summary>The object paths of the active domains.</summary>
    internal async Task<IReadOnlyList<string>> ListActiveAsync(CancellationToken cancel)
    {
        return await AskDriverAsync<string[]>("ListDomains", new("u", ListActive), cancel).ConfigureAwait(false);
    }

    /// <summary>The states of all active domains by name, from one call that waits for no domain.</summary>
    internal async Task<IReadOnlyDictionary<string, DomainState>> GetStatesAsync(CancellationToken cancel)
    {
        object[] reply = await AskDriverAsync<object[]>(
            "GetAllDomainStats", new("uu", StatsState, StatsActive | StatsNoWait), cancel).ConfigureAwait(false);
        Dictionary<string, DomainState> states = [];
        foreach (object entry in reply)
        {
            if (entry is object[] and [string name, Dictionary<string, object> stats])
                states[name] = ToState(stats.GetValueOrDefault("state.state"));
        }

        return states;
    }

    /// <summary>The live XML of a domain.</summary>
    /// <exception cref="BusException">There is no such domain any more, or libvirt refuses.</exception>
    internal async Task<string> GetXmlAsync(string domainPath, CancellationToken cancel)
    {
        BusBody reply = await AskAsync(domainPath, DomainInterface, "GetXMLDesc", new("u", 0u), cancel)
            .ConfigureAwait(false);
        return reply.Get<string>(0);
    }

    /// <summary>The job of a domain; null when libvirt does not say: a driver that knows no jobs, or one that cannot ask QEMU
    /// just now, as while it dumps a guest.</summary>
    internal async Task<DomainJob?> GetJobAsync(string domainPath, CancellationToken cancel)
    {
        try
        {
            BusBody reply = await AskAsync(domainPath, DomainInterface, "GetJobStats", new("u", 0u), cancel)
                .ConfigureAwait(false);
            return reply.Get<object[]>(0) is [int type, Dictionary<string, object> stats]
                ? new(type, stats.GetValueOrDefault("operation") as int?)
                : DomainJob.None;
        }
        catch (BusException)
        {
            return null;
        }
    }

    private async Task<T> AskDriverAsync<T>(string member, BusBody body, CancellationToken cancel)
    {
        try
        {
            BusBody reply = await AskAsync(driverPath, ConnectInterface, member, body, cancel).ConfigureAwait(false);
            return reply.Get<T>(0);
        }
        catch (BusException e)
        {
            throw new LibvirtUnavailableException($"libvirt's daemon does not answer ({Shorten.Sentence(e.Message)})");
        }
    }

    private async Task<BusBody> AskAsync(
        string path, string @interface, string member, BusBody body, CancellationToken cancel)
    {
        foreach (string answered in _unanswered.Where(call => call.Value.IsCompleted).Select(call => call.Key).ToArray())
            _unanswered.Remove(answered);
        if (_unanswered.Count >= MostUnanswered || _unanswered.ContainsKey(path))
            throw new LibvirtUnavailableException(NoAnswer);

        Task<BusBody> reply = bus.CallAsync(new(Service, path, @interface, member, body, s_answerLimit), cancel);
        try
        {
            return await reply.WaitAsync(patience, time, cancel).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _ = reply.ContinueWith(late => late.Exception, TaskScheduler.Default); // observed, whatever it will be
            _unanswered.Add(path, reply);
            throw new LibvirtUnavailableException(NoAnswer);
        }
        catch (BusException e) when (DescribeMissingService(e) is { } reason)
        {
            throw new LibvirtUnavailableException(reason) { IsServiceMissing = IsServiceMissing(e) };
        }
    }

    /// <summary>Whether there is nobody to ask, which the bus, or that there is none, says at once.</summary>
    internal static bool IsServiceMissing(BusException error) => error.ErrorName is BusException.Disconnected
            or BusException.ServiceUnknown or "org.freedesktop.DBus.Error.NameHasNoOwner" or "org.freedesktop.systemd1.NoSuchUnit"
        || error.ErrorName.StartsWith("org.freedesktop.DBus.Error.Spawn.", StringComparison.Ordinal);

    /// <summary>What to tell people when it is not libvirt that answered; null when it is.</summary>
    internal static string? DescribeMissingService(BusException error) => error.ErrorName switch
    {
        BusException.Disconnected => Shorten.Sentence(error.Message),
        BusException.NoReply => "libvirt-dbus went away while it was asked",
        BusException.AccessDenied => "libvirt-dbus may be called only by root and members of the group libvirt",
        BusException.ServiceUnknown or "org.freedesktop.DBus.Error.NameHasNoOwner" or "org.freedesktop.systemd1.NoSuchUnit"
            => "libvirt-dbus is not running",
        var name when name.StartsWith("org.freedesktop.DBus.Error.Spawn.", StringComparison.Ordinal)
            => $"libvirt-dbus cannot be started ({Shorten.Sentence(error.Message)})",
        _ => null,
    };

    // virDomainState of libvirt-domain.h; "blocked" on a resource is a kind of running.
    private static DomainState ToState(object? libvirtState) => libvirtState switch
    {
        1 or 2 => DomainState.Running,
        3 => DomainState.Paused,
        4 or 5 => DomainState.ShuttingDown,
        6 => DomainState.Crashed,
        7 => DomainState.Asleep,
        _ => DomainState.Unknown,
    };
}
