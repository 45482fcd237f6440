// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Processes;

/// <summary>The processes of this host, from /proc, file locks and pidfds.</summary>
public sealed class LinuxProcesses : IHostProcesses, IDisposable
{
    // A command line may have a quarter of the stack's limit, 2 MiB unless that is raised: such a process is no QEMU of libvirt's.
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
            using FileStream file = new(pidFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 0);
            return LibC.WriteLockHolder(file.SafeFileHandle);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public ProcessIdentity? Identify(int pid)
    {
        string? stat = ReadProc(pid, "stat");

        // The second field is the program's name in parentheses and may itself have spaces and parentheses.
        int afterName = stat is null ? -1 : stat.LastIndexOf(')');
        if (afterName < 0)
            return null;
        const int State = 0, StartTime = 19; // fields 3 and 22 of proc(5)
        string[] fields = stat![(afterName + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        bool ended = fields.Length <= StartTime || fields[State] is "Z" or "X";
        return !ended && ulong.TryParse(fields[StartTime], NumberStyles.None, CultureInfo.InvariantCulture, out ulong start) ? new(pid, start) : null;
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> ReadCommandLine(int pid) =>
        ReadProc(pid, "cmdline")?.Split('\0', StringSplitOptions.RemoveEmptyEntries) ?? [];

    /// <inheritdoc/>
    public IDisposable? WatchEnd(ProcessIdentity process, Action ended) =>
        _endWatcher.TryWatch(process.Pid, ended, () => Identify(process.Pid) == process);

    /// <inheritdoc/>
    public IDisposable? WatchPidFiles(string directory, Action changed)
    {
        if (!Directory.Exists(directory))
            return null;
        try
        {
            FileSystemWatcher watcher = new(directory, "*.pid") { NotifyFilter = NotifyFilters.FileName };
            watcher.Created += (_, _) => changed();
            watcher.Deleted += (_, _) => changed();
            watcher.Renamed += (_, _) => changed();
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
