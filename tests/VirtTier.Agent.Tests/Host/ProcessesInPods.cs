// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Agent.Tests.Host;

/// <summary>This machine's processes as a node's, some of them in cgroups of pods, which only a kubelet makes.</summary>
/// <param name="real">The processes.</param>
/// <param name="podOf">The UID of the pod of a process; null for none.</param>
internal sealed class ProcessesInPods(LinuxProcesses real, Func<int, string?> podOf) : IHostProcesses
{
    public string? ReadCgroup(int pid) => podOf(pid) is { } uid
        ? $"/kubepods.slice/kubepods-pod{uid.Replace('-', '_')}.slice/crio-1.scope" : real.ReadCgroup(pid);

    public int? FindLockHolder(string pidFile) => real.FindLockHolder(pidFile);

    public ProcessIdentity? Identify(int pid) => real.Identify(pid);

    public IReadOnlyList<string> ReadCommandLine(int pid) => real.ReadCommandLine(pid);

    public ulong ReadAddressSpace(int pid) => real.ReadAddressSpace(pid);

    public IDisposable? WatchEnd(ProcessIdentity process, Action ended) => real.WatchEnd(process, ended);

    public IDisposable? WatchFiles(string directory, string names, Action<string> changed) =>
        real.WatchFiles(directory, names, changed);
}
