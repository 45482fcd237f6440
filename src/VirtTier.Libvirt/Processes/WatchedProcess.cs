// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Processes;

/// <summary>A process under watch until it ends or nobody wants to know any more.</summary>
internal sealed class WatchedProcess : IDisposable
{
    private readonly ProcessIdentity _identity;
    private readonly IHostProcesses _processes;
    private readonly IDisposable? _watch;
    private volatile bool _endTold;

    /// <summary>Starts the watch; <paramref name="ended"/> is called once when the process has ended, on any thread.</summary>
    internal WatchedProcess(ProcessIdentity identity, IHostProcesses processes, Action ended)
    {
        _identity = identity;
        _processes = processes;
        _watch = processes.WatchEnd(identity, () =>
        {
            _endTold = true;
            ended();
        });
    }

    /// <summary>Whether it has ended. A watch misses no end; only a process that cannot be watched is looked up.</summary>
    internal bool HasEnded => _watch is not null ? _endTold : _processes.Identify(_identity.Pid) != _identity;

    public void Dispose() => _watch?.Dispose();
}
