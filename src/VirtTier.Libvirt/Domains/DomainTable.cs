// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Processes;

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

    public void Dispose()
    {
        foreach (TrackedDomain tracked in _tracked.Values)
            tracked.Dispose();
        _tracked.Clear();
    }

    /// <summary>The domains in the order of their names.</summary>
    internal RunningDomain[] ToSortedArray() =>
        [.. _tracked.Values.Select(tracked => tracked.Domain!).OrderBy(domain => domain.Name, StringComparer.Ordinal)];

    /// <summary>Takes note of the processes that have ended.</summary>
    internal void NoticeEndedProcesses()
    {
        foreach (TrackedDomain tracked in _tracked.Values.Where(tracked => tracked.HasLostProcess))
        {
            tracked.UpdateProcess(new(null, $"process {tracked.Domain!.Process!.Value.Pid} has ended"), processes, work.Wake);

            // A new run of the domain, or its end: either way it has to be read again.
            work.PutBack([tracked.Path], everything: false);
        }
    }

    /// <summary>Asks libvirt for the list of domains, their states, and their definitions where a change is possible.</summary>
    /// <exception cref="LibvirtUnavailableException">Libvirt does not answer; what was known stays.</exception>
    internal async Task ReadAsync(PendingWork.Marks marks, CancellationToken cancellation)
    {
        IReadOnlyList<string> active = await _libvirt.ListActiveAsync(cancellation).ConfigureAwait(false);
        foreach (string gone in _tracked.Keys.Except(active).ToArray())
            Forget(gone);
        foreach (string path in active.Where(path => !_tracked.ContainsKey(path) || marks.Include(path)))
            await ReadDomainAsync(path, cancellation).ConfigureAwait(false);
        await ReadOldestAgainAsync(cancellation).ConfigureAwait(false);

        IReadOnlyDictionary<string, DomainState> states = await _libvirt.GetStatesAsync(cancellation).ConfigureAwait(false);
        foreach (TrackedDomain tracked in _tracked.Values)
            tracked.UpdateState(states.GetValueOrDefault(tracked.Domain!.Name));
    }

    /// <summary>Looks for the processes of the domains that have none.</summary>
    internal async Task FindProcessesAsync(CancellationToken cancellation)
    {
        TrackedDomain[] unknown = [.. _tracked.Values.Where(tracked => tracked.Domain!.Process is null)];
        if (unknown.Length == 0)
            return;
        await _machines.RefreshAsync(cancellation).ConfigureAwait(false);
        QemuProcessFinder finder = new(processes, _machines, options.RunDirectory);
        options.Progress();
        foreach (TrackedDomain tracked in unknown)
            tracked.UpdateProcess(finder.Find(tracked.Domain!.Uuid, tracked.Domain.Name), processes, work.Wake);
    }

    /// <summary>While libvirt is away the kernel still tells which domains have ended: forgets these.</summary>
    internal void ForgetEnded()
    {
        foreach (TrackedDomain ended in _tracked.Values.Where(tracked => tracked.HasEnded).ToArray())
            Forget(ended.Path);
    }

    private async Task ReadDomainAsync(string path, CancellationToken cancellation)
    {
        options.Progress();
        TrackedDomain tracked = _tracked.GetValueOrDefault(path) ?? new TrackedDomain(path, options.LastGoodSettings, logger);
        try
        {
            tracked.UpdateFromXml(await _libvirt.GetXmlAsync(path, cancellation).ConfigureAwait(false));
            tracked.XmlReadAt = time.GetTimestamp();
        }
        catch (Exception e) when (e is BusException or FormatException or LibvirtUnavailableException)
        {
            Log.DomainUnreadable(logger, path, e.Message); // it may be gone; if not, the next look asks again
            work.PutBack([path], everything: false);
            return;
        }

        await ReadJobAsync(tracked, cancellation).ConfigureAwait(false);
        if (_tracked.TryAdd(path, tracked))
            Log.DomainAppeared(logger, tracked.Domain!.Name, tracked.Domain.Uuid);
    }

    /// <summary>Reads what may have changed without a hint: jobs that end silently, definitions that have grown old.</summary>
    private async Task ReadOldestAgainAsync(CancellationToken cancellation)
    {
        foreach (TrackedDomain tracked in _tracked.Values.Where(tracked => tracked.Domain!.MigratingOut))
            await ReadJobAsync(tracked, cancellation).ConfigureAwait(false);

        TrackedDomain[] oldest = [.. _tracked.Values
            .Where(tracked => time.GetElapsedTime(tracked.XmlReadAt) >= options.XmlAgeLimit)
            .OrderBy(tracked => tracked.XmlReadAt)
            .Take(MostReReadsAPass)];
        foreach (TrackedDomain tracked in oldest)
            await ReadDomainAsync(tracked.Path, cancellation).ConfigureAwait(false);
    }

    private async Task ReadJobAsync(TrackedDomain tracked, CancellationToken cancellation)
    {
        options.Progress();
        try
        {
            tracked.UpdateMigratingOut(await _libvirt.HasMemoryJobAsync(tracked.Path, cancellation).ConfigureAwait(false));
        }
        catch (LibvirtUnavailableException e)
        {
            Log.DomainUnreadable(logger, tracked.Path, e.Message);
            work.PutBack([tracked.Path], everything: false);
        }
    }

    private void Forget(string path)
    {
        if (!_tracked.Remove(path, out TrackedDomain? tracked))
            return;
        tracked.Dispose();
        Log.DomainGone(logger, tracked.Domain!.Name, tracked.Domain.Uuid);
    }
}
