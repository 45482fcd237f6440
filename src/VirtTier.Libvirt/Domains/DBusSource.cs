// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Libvirt.Domains;

/// <summary>Domains as libvirt-dbus tells of them, hinted at by its signals, machined's, and the pid files.</summary>
internal sealed class DBusSource : IDomainSource
{
    private readonly DomainMonitorOptions _options;
    private readonly IHostProcesses _processes;
    private readonly PendingWork _work;
    private readonly DomainTable _table;
    private readonly DomainHints _hints;
    private ProcessIdentity? _libvirtd;
    private IDisposable? _pidFileWatch;
    private bool _eventsLost; // so that every domain has to be read

    internal DBusSource(
        IBus bus, IHostProcesses processes, PendingWork work, DomainMonitorOptions options, TimeProvider time, ILogger logger)
    {
        _options = options;
        _processes = processes;
        _work = work;
        _table = new(bus, processes, work, options, time, logger);
        _hints = new(bus, options.DriverPath, work);
    }

    public LibvirtSource? Kind => LibvirtSource.DBus;

    public void Dispose()
    {
        _hints.Dispose();
        _pidFileWatch?.Dispose();
        _table.Dispose();
    }

    public RunningDomain[] ToSortedArray() => _table.ToSortedArray();

    public void FollowHints()
    {
        _table.NoticeEndedProcesses();
        _table.FollowNews();
    }

    public async Task LookAsync(PendingWork.Marks marks, CancellationToken cancel)
    {
        NoticeLibvirtdRestart();
        marks = marks with { Everything = marks.Everything || _eventsLost };
        _eventsLost = true; // unless libvirt answers
        try
        {
            await _table.ReadAsync(marks, cancel).ConfigureAwait(false);
            _eventsLost = false;
        }
        finally
        {
            await _table.FindProcessesAsync(cancel).ConfigureAwait(false);
        }
    }

    /// <summary>libvirt-dbus says nothing of a restart of libvirtd and has lost the events around it: read everything.</summary>
    private void NoticeLibvirtdRestart()
    {
        _pidFileWatch ??= _processes.WatchFiles(_options.RunDirectory, "*.pid", _ => _work.Wake());
        int? holder = _processes.FindLockHolder(Path.Combine(_options.RunDirectory, "driver.pid"));
        ProcessIdentity? libvirtd = holder is { } pid ? _processes.Identify(pid) : null;
        _eventsLost |= libvirtd != _libvirtd;
        _libvirtd = libvirtd;
    }
}
