// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Processes;

/// <summary>What the host's kernel knows about processes. Nothing here throws for a process that is gone.</summary>
public interface IHostProcesses
{
    /// <summary>The process that holds the write lock of a pid file; null when nobody does or there is no such file. A link is
    /// none.</summary>
    /// <param name="pidFile">The file.</param>
    int? FindLockHolder(string pidFile);

    /// <summary>The identity of the process with a pid now; null when there is none or only a zombie.</summary>
    /// <param name="pid">The pid.</param>
    ProcessIdentity? Identify(int pid);

    /// <summary>The arguments of a process; empty when there is none.</summary>
    /// <param name="pid">The pid.</param>
    IReadOnlyList<string> ReadCommandLine(int pid);

    /// <summary>The cgroup of a process, as a path below the root of cgroups; null when there is no such process.</summary>
    /// <param name="pid">The pid.</param>
    string? ReadCgroup(int pid);

    /// <summary>The size of the address space of a process, in bytes; 0 when there is no such process.</summary>
    /// <param name="pid">The pid.</param>
    ulong ReadAddressSpace(int pid);

    /// <summary>Calls back once when a process ends.</summary>
    /// <param name="process">The process.</param>
    /// <param name="ended">Must return at once. Called on any thread, and also when the process had ended already.</param>
    /// <returns>Ends the watch; null when the kernel cannot watch it.</returns>
    IDisposable? WatchEnd(ProcessIdentity process, Action ended);

    /// <summary>Calls back whenever a file appears in, is replaced in or disappears from a directory.</summary>
    /// <param name="directory">The directory.</param>
    /// <param name="names">Which files, such as <c>*.pid</c>.</param>
    /// <param name="changed">Told the file's path. Must return at once.</param>
    /// <returns>Ends the watch; null when there is no such directory.</returns>
    IDisposable? WatchFiles(string directory, string names, Action<string> changed);
}
