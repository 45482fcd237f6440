// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Microsoft.Win32.SafeHandles;
using VirtTier.Libvirt.Domains;
using VirtTier.Linux;

namespace VirtTier.Libvirt.Processes;

/// <summary>The processes of this host, from /proc, file locks and pidfds.</summary>
public sealed class LinuxProcesses : IHostProcesses, IDisposable
{
    // A command line may have a quarter of the stack's limit, 2 MiB unless that is raised: such a
    // process is no QEMU of libvirt's.
    private const int MostBytes = 4 << 20;

    private readonly ProcessEndWatcher _endWatcher = new();

    /// <summary>Ends all watches.</summary>
    public void Dispose() => _endWatcher.Dispose();

    /// <inheritdoc/>
    public int? FindLockHolder(string pidFile)
    {
        try
        {
            // Opened for reading is enough to ask, and closing it can release no lock: this process holds none on it.
            using SafeFileHandle file = BoundedFile.OpenNoLink(pidFile);
            return Libc.WriteLockHolder(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public ProcessIdentity? Identify(int pid) =>
        ProcessStat.Read(pid) is { HasEnded: false } stat ? new(pid, stat.StartTime) : null;

    /// <inheritdoc/>
    public IReadOnlyList<string> ReadCommandLine(int pid) =>
        ReadProc(pid, "cmdline")?.Split('\0', StringSplitOptions.RemoveEmptyEntries) ?? [];

    /// <inheritdoc/>
    public string? ReadCgroup(int pid)
    {
        // A line a hierarchy; where there are those of version 1 as well, that of memory says it.
        string[] lines = ReadProc(pid, "cgroup")?.Split('\n') ?? [];
        return lines.FirstOrDefault(line => line.Contains(":memory:", StringComparison.Ordinal)) is { } memory
            ? memory[(memory.IndexOf(":memory:", StringComparison.Ordinal) + ":memory:".Length)..]
            : lines.FirstOrDefault(line => line.StartsWith("0::", StringComparison.Ordinal))?[3..];
    }

    /// <inheritdoc/>
    public ulong ReadAddressSpace(int pid) =>
        ulong.TryParse(ReadProc(pid, "statm")?.Split(' ')[0], CultureInfo.InvariantCulture, out ulong pages)
            ? pages * (ulong)Environment.SystemPageSize
            : 0;

    /// <inheritdoc/>
    public IDisposable? WatchEnd(ProcessIdentity process, Action ended) =>
        _endWatcher.TryWatch(process.Pid, ended, () => Identify(process.Pid) == process);

    /// <inheritdoc/>
    public IDisposable? WatchFiles(string directory, string names, Action<string> changed)
    {
        if (!Directory.Exists(directory))
            return null;
        try
        {
            FileSystemWatcher watcher = new(directory, names) { NotifyFilter = NotifyFilters.FileName };
            watcher.Created += (_, e) => changed(e.FullPath);
            watcher.Deleted += (_, e) => changed(e.FullPath);
            watcher.Renamed += (_, e) => changed(e.FullPath);
            watcher.EnableRaisingEvents = true;
            return watcher;
        }
        catch (Exception e) when (e is IOException or ArgumentException)
        {
            return null; // it has just gone, or the host is out of inotify watches: the heartbeat still looks
        }
    }

    private static string? ReadProc(int pid, string file)
    {
        try
        {
            return BoundedFile.ReadText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/{file}"), MostBytes);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
