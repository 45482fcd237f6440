// SPDX-License-Identifier: Apache-2.0
using Tmds.Linux;
using VirtTier.Linux;
using static Tmds.Linux.LibC;

namespace VirtTier.Libvirt.Processes;

/// <summary>One thread that waits on the pidfds of any number of processes; see pidfd_open(2).</summary>
internal sealed class ProcessEndWatcher : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, Action> _endedByFd = []; // under _lock
    private readonly List<int> _retiredFds = []; // under _lock; closed only between two polls
    private readonly int _wakeFd = Libc.EventFd();
    private readonly Thread _thread;
    private bool _stopping; // under _lock

    internal ProcessEndWatcher()
    {
        _thread = new Thread(Run) { IsBackground = true, Name = "pidfd watch" };
        _thread.Start();
    }

    public void Dispose()
    {
        lock (_lock)
        {
            if (_stopping)
                return;
            _stopping = true;
            Libc.SignalEventFd(_wakeFd);
        }

        _thread.Join();
    }

    /// <summary>Watches a process; null when the kernel refuses.</summary>
    /// <param name="pid">Its pid.</param>
    /// <param name="ended">Called once when it has ended.</param>
    /// <param name="isStillIt">Whether the pid is still the one meant: asked after the pidfd holds on to its process.</param>
    internal IDisposable? TryWatch(int pid, Action ended, Func<bool> isStillIt)
    {
        int fd = Libc.PidfdOpen(pid);
        if (fd < 0)
        {
            if (isStillIt())
                return null;
            ended();
            return Watch.Over;
        }

        if (!isStillIt())
        {
            Libc.Close(fd);
            ended();
            return Watch.Over;
        }

        lock (_lock)
        {
            _endedByFd.Add(fd, ended);
            Libc.SignalEventFd(_wakeFd);
        }

        return new Watch(this, fd);
    }

    private void Retire(int fd)
    {
        lock (_lock)
        {
            if (!_endedByFd.Remove(fd))
                return;
            _retiredFds.Add(fd);
            if (!_stopping)
                Libc.SignalEventFd(_wakeFd);
        }
    }

    private void Run()
    {
        while (true)
        {
            pollfd[] fds;
            lock (_lock)
            {
                CloseRetired();
                if (_stopping)
                    break;
                fds = [.. _endedByFd.Keys.Prepend(_wakeFd).Select(fd => new pollfd { fd = fd, events = POLLIN })];
            }

            _ = Libc.Poll(fds, -1);
            Libc.ClearEventFd(_wakeFd);
            foreach (pollfd ready in fds.Skip(1).Where(fd => fd.revents != 0))
                TakeOut(ready.fd)?.Invoke();
        }

        lock (_lock)
        {
            _retiredFds.AddRange(_endedByFd.Keys);
            _endedByFd.Clear();
            CloseRetired();
            Libc.Close(_wakeFd);
        }
    }

    private Action? TakeOut(int fd)
    {
        lock (_lock)
        {
            if (!_endedByFd.Remove(fd, out Action? ended))
                return null;
            _retiredFds.Add(fd);
            return ended;
        }
    }

    private void CloseRetired()
    {
        foreach (int fd in _retiredFds)
            Libc.Close(fd);
        _retiredFds.Clear();
    }

    private sealed class Watch(ProcessEndWatcher? owner, int fd) : IDisposable
    {
        private ProcessEndWatcher? _owner = owner;

        internal static Watch Over { get; } = new(null, -1);

        public void Dispose()
        {
            Interlocked.Exchange(ref _owner, null)?.Retire(fd);
        }
    }
}
