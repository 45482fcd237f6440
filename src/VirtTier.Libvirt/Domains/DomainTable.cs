// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Processes;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.Domains;

/// <summary>The running domains as known, and the steps of one pass that bring them up to date.</summary>
internal sealed class DomainTable(
    IBus bus, IHostProcesses processes, PendingWork work, DomainMonitorOptions options, TimeProvider time, ILogger logger)
    : IDisposable
{
    /// <summary>How many definitions that have only grown old one pass reads again.</summary>
    private const int MostReReadsAPass = 20;

    private readonly LibvirtClient _libvirt = new(bus, options.DriverPath, options.CallTimeout, time);
    private readonly MachineRegistry _machines = new(bus, time);
    private readonly Dictionary<string, TrackedDomain> _tracked = []; // by object path
    private readonly Dictionary<string, string> _unreadable = []; // object path to why; said once
    private long _listedAt, _statesAt; // how many lifecycle events there had been when libvirt was asked

    public void Dispose()
    {
        foreach (TrackedDomain tracked in _tracked.Values)
            tracked.Dispose();
        _tracked.Clear();
    }

    /// <summary>The domains in the order of their names, without those whose run has ended, whatever libvirt says.</summary>
    internal RunningDomain[] ToSortedArray() => TrackedDomain.ToSortedArray(_tracked.Values);

    /// <summary>Follows the lifecycle events that came after libvirt was asked: its answers may be of the time before.</summary>
    internal void FollowNews()
    {
        foreach ((string path, LifecycleNews news) in work.News())
        {
            if (news.Ended == true && news.EndedAt > _listedAt)
                Forget(path);
            else if (news.State is { } state && news.StateAt > _statesAt
                && _tracked.TryGetValue(path, out TrackedDomain? tracked))
                tracked.UpdateState(state);
        }
    }

    /// <summary>Takes note of the processes that have ended.</summary>
    internal void NoticeEndedProcesses()
    {
        // A new run of the domain, or its end: either way it has to be read again.
        foreach (TrackedDomain tracked in _tracked.Values.Where(tracked => tracked.NoticeEnd(processes, work.Wake)))
            work.PutBack([tracked.Path], everything: false);
    }

    /// <summary>Asks libvirt for the list of domains, their states, and their definitions where a change is possible.</summary>
    /// <exception cref="LibvirtUnavailableException">Libvirt does not answer; what was known stays.</exception>
    internal async Task ReadAsync(PendingWork.Marks marks, CancellationToken cancel)
    {
        _listedAt = work.EventsSoFar;
        IReadOnlyList<string> active = await _libvirt.ListActiveAsync(cancel).ConfigureAwait(false);
        foreach (string gone in _tracked.Keys.Except(active).ToArray())
            Forget(gone);
        foreach (string gone in _unreadable.Keys.Except(active).ToArray())
            _unreadable.Remove(gone);
        foreach (string path in active.Where(path => !_tracked.ContainsKey(path) || marks.Include(path)))
            await ReadDomainAsync(path, cancel).ConfigureAwait(false);
        await ReadOldestAgainAsync(cancel).ConfigureAwait(false);

        _statesAt = work.EventsSoFar;
        IReadOnlyDictionary<string, DomainState> states = await _libvirt.GetStatesAsync(cancel).ConfigureAwait(false);
        foreach (TrackedDomain tracked in _tracked.Values)
        {
            // One that is not among them has stopped since it was listed: what it did last is nearer to that than "unknown".
            if (states.TryGetValue(tracked.Domain!.Name, out DomainState state))
                tracked.UpdateState(state);
        }
    }

    /// <summary>Looks for the processes of the domains that have none.</summary>
    internal async Task FindProcessesAsync(CancellationToken cancel)
    {
        TrackedDomain[] unknown = [.. _tracked.Values.Where(tracked => tracked.Domain!.Process is null)];
        if (unknown.Length == 0)
            return;
        await _machines.RefreshAsync(cancel).ConfigureAwait(false);
        QemuProcessFinder finder = new(processes, _machines, options.RunDirectory);
        options.Progress();
        foreach (TrackedDomain tracked in unknown)
        {
            bool isNewRun = tracked.HasEnded;
            FindProcess(tracked, finder);
            if (isNewRun && !tracked.HasEnded) // what was read may be of the run that has ended
                await ReadDomainAsync(tracked.Path, cancel).ConfigureAwait(false);
        }
    }

    private void FindProcess(TrackedDomain tracked, QemuProcessFinder finder)
    {
        try
        {
            tracked.UpdateProcess(finder.Find(tracked.Domain!.Uuid, tracked.Domain.Name), processes, work.Wake);
        }
#pragma warning disable CA1031 // whatever it is, it is of this domain
        catch (Exception e)
#pragma warning restore CA1031
        {
            string problem = $"looking for its process failed ({Shorten.Sentence(e.Message)})";
            tracked.UpdateProcess(new(null, problem), processes, work.Wake);
        }
    }

    private async Task ReadDomainAsync(string path, CancellationToken cancel)
    {
        options.Progress();
        TrackedDomain tracked = _tracked.GetValueOrDefault(path) ?? new TrackedDomain(path, options.LastGoodSettings, logger);
        try
        {
            tracked.UpdateFromXml(await _libvirt.GetXmlAsync(path, cancel).ConfigureAwait(false));
            tracked.XmlReadAt = time.GetTimestamp();
        }
#pragma warning disable CA1031 // whatever it is, it is of this domain
        catch (Exception e) when (!cancel.IsCancellationRequested)
#pragma warning restore CA1031
        {
            TellUnreadable(path, e);
            if (e is FormatException && tracked.Domain is not null)
                tracked.Refuse(e.Message);
            work.PutBack([path], everything: false);
            return;
        }

        _unreadable.Remove(path);
        await ReadJobAsync(tracked, cancel).ConfigureAwait(false);
        _tracked.TryAdd(path, tracked);
    }

    /// <summary>Reads what may have changed without a hint: jobs that end silently, definitions that have grown old.</summary>
    private async Task ReadOldestAgainAsync(CancellationToken cancel)
    {
        foreach (TrackedDomain tracked in _tracked.Values.Where(tracked => tracked.Domain!.MigratingOut))
            await ReadJobAsync(tracked, cancel).ConfigureAwait(false);

        TrackedDomain[] oldest = [.. _tracked.Values
            .Where(tracked => time.GetElapsedTime(tracked.XmlReadAt) >= options.XmlAgeLimit)
            .OrderBy(tracked => tracked.XmlReadAt)
            .Take(MostReReadsAPass)];
        foreach (TrackedDomain tracked in oldest)
            await ReadDomainAsync(tracked.Path, cancel).ConfigureAwait(false);
    }

    private async Task ReadJobAsync(TrackedDomain tracked, CancellationToken cancel)
    {
        options.Progress();
        try
        {
            // What is not known is as it was: a job that copies memory does not end by an error of libvirt's.
            if (await _libvirt.GetJobAsync(tracked.Path, cancel).ConfigureAwait(false) is { } job)
                tracked.UpdateJob(job);
        }
#pragma warning disable CA1031 // whatever it is, it is of this domain
        catch (Exception e) when (!cancel.IsCancellationRequested)
#pragma warning restore CA1031
        {
            Log.DomainUnreadable(logger, Shorten.Sentence(tracked.Path), Shorten.Sentence(e.Message));
            work.PutBack([tracked.Path], everything: false);
        }
    }

    /// <summary>Once it may be that the domain has just gone, and the next look asks again; a person hears of it when it stays
    /// so.</summary>
    private void TellUnreadable(string path, Exception e)
    {
        string reason = Shorten.Sentence(e.Message);
        Log.DomainUnreadable(logger, Shorten.Sentence(path), reason);
        if (!_unreadable.TryGetValue(path, out string? before))
            _unreadable.Add(path, "");
        else if (before != reason)
        {
            _unreadable[path] = reason;
            Log.DomainStaysUnreadable(logger, Shorten.Sentence(path), reason);
        }
    }

    private void Forget(string path)
    {
        if (_tracked.Remove(path, out TrackedDomain? tracked))
            tracked.Dispose();
    }
}
