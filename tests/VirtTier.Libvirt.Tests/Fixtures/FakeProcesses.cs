// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Libvirt.Tests.Fixtures;

/// <summary>Processes in memory, which hold locks of files that are really there.</summary>
internal sealed class FakeProcesses : IHostProcesses
{
    private readonly Dictionary<int, FakeProcess> _processes = [];
    private readonly Dictionary<string, int> _lockHolders = [];

    /// <summary>Told of each file whose lock is asked for.</summary>
    internal Action<string> Asked { get; set; } = _ => { };

    /// <summary>Told of each process before it is identified.</summary>
    internal Action<int> Identified { get; set; } = _ => { };

    /// <summary>Starts a process that holds the lock of a file, which it makes.</summary>
    internal void Start(int pid, string? pidFile, string cgroup, params string[] arguments)
    {
        _processes[pid] = new(cgroup, arguments, 1UL << 40);
        if (pidFile is null)
            return;
        File.WriteAllText(pidFile, "55\n"); // as a process of another namespace of pids writes it
        _lockHolders[pidFile] = pid;
    }

    internal void Resize(int pid, ulong addressSpace) => _processes[pid] = _processes[pid] with { AddressSpace = addressSpace };

    internal void End(int pid)
    {
        _processes.Remove(pid);
        foreach (string file in _lockHolders.Where(pair => pair.Value == pid).Select(pair => pair.Key).ToArray())
            _lockHolders.Remove(file);
    }

    public int? FindLockHolder(string pidFile)
    {
        Asked(pidFile);
        if (new FileInfo(pidFile) is not { Exists: true, LinkTarget: null })
            return null;
        string directory = Path.GetDirectoryName(pidFile)!;
        directory = new DirectoryInfo(directory).LinkTarget ?? directory; // of a descriptor
        return _lockHolders.TryGetValue(Path.Combine(directory, Path.GetFileName(pidFile)), out int pid) ? pid : null;
    }

    public ProcessIdentity? Identify(int pid)
    {
        Identified(pid);
        return _processes.ContainsKey(pid) ? new(pid, FakeLibvirt.StartTimeOf(pid)) : null;
    }

    public IReadOnlyList<string> ReadCommandLine(int pid) => _processes.GetValueOrDefault(pid)?.Arguments ?? [];

    public string? ReadCgroup(int pid) => _processes.GetValueOrDefault(pid)?.Cgroup;

    public ulong ReadAddressSpace(int pid) => _processes.GetValueOrDefault(pid)?.AddressSpace ?? 0;

    public IDisposable? WatchEnd(ProcessIdentity process, Action ended) => null; // each look then asks whether it lives

    public IDisposable? WatchFiles(string directory, string names, Action<string> changed) => null;

    private sealed record FakeProcess(string Cgroup, string[] Arguments, ulong AddressSpace);
}
