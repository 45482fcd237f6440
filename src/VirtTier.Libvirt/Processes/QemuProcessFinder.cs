// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Processes;

/// <summary>The QEMU process of a domain, or why it is not known for sure.</summary>
internal readonly record struct ProcessLookup(ProcessIdentity? Process, string? Problem);

/// <summary>
/// Finds the QEMU process of a domain. No source is enough alone: the pid file is trusted only through the lock that QEMU
/// keeps on it, machined may be absent and names its leader before that has become QEMU, and pids are used again. So a
/// process counts only if it runs with the domain's UUID on its command line and no source contradicts.
/// </summary>
internal sealed class QemuProcessFinder(IHostProcesses processes, MachineRegistry? machines, string runDirectory)
{
    /// <summary>Finds the process; <see cref="MachineRegistry.RefreshAsync"/> should have been done since it started.</summary>
    internal ProcessLookup Find(Guid uuid, string name)
    {
        if (name.Contains('/', StringComparison.Ordinal))
            return new(null, "it has a name that no file can have, so that it has no pid file");
        string pidFile = Path.Combine(runDirectory, name + ".pid");
        int? holder = processes.FindLockHolder(pidFile);
        IReadOnlyList<int> leaders = machines?.LeadersOf(uuid) ?? [];
        if (holder is { } pid)
        {
            return leaders.Count == 0 || leaders.Contains(pid)
                ? Verify(pid, uuid)
                : new(null, $"process {pid} holds {pidFile}, but machined names process {leaders[^1]}: retrying");
        }

        foreach (int leader in leaders)
        {
            ProcessLookup lookup = Verify(leader, uuid);
            if (lookup.Process is not null)
                return lookup;
        }

        return new(null, $"no process holds the lock of {pidFile}"
            + (leaders.Count == 0 ? ", and machined knows no such machine" : $", and process {leaders[^1]} is not its QEMU"));
    }

    private ProcessLookup Verify(int pid, Guid uuid)
    {
        // The identity is taken before and after the look at the command line, so that it is of one and the same process.
        ProcessIdentity? identity = processes.Identify(pid);
        bool isQemu = processes.ReadCommandLine(pid).SkipWhile(argument => argument != "-uuid").ElementAtOrDefault(1) is { } text
            && Guid.TryParse(text, out Guid found) && found == uuid;
        if (identity is null || identity != processes.Identify(pid))
            return new(null, $"process {pid} has just ended");
        return isQemu ? new(identity, null) : new(null, $"process {pid} has not become the domain's QEMU yet");
    }
}
