// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Linux;
using VirtTier.Memory.Numa;
using VirtTier.Primitives;

namespace VirtTier.Memory.Processes;

/// <summary>A NUMA node that the cpuset of a process forbids.</summary>
/// <param name="Node">The node.</param>
/// <param name="Allowed">The nodes that are allowed.</param>
/// <param name="Mend">The one command that allows it, for root's shell; null where none of the process's cgroups, as far as
/// they can be seen from here, says so.</param>
public sealed record ForbiddenNode(int Node, IReadOnlyList<int> Allowed, string? Mend)
{
    /// <summary>systemd's unit whose cgroup says so, which systemd then has to be told; null where it is none.</summary>
    public string? Unit { get; init; }

    /// <summary>In one sentence, for logs and status.</summary>
    public override string ToString() =>
        $"the cpuset allows memory on node {NodeList.Format(Allowed)} only, not on node {Node}"
            + (Mend is null ? "" : $" (mend it with: {Mend})");
}

/// <summary>Finds a cpuset that would forbid migration, before the first failure.</summary>
public static class NodePreflight
{
    /// <summary>Null if the process may have memory on <paramref name="node"/>.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or a file of its cgroup cannot be read;
    /// the message names it.</exception>
    /// <remarks>
    /// move_pages(2) asks the cpuset of exactly the process it is given, which for a QEMU under libvirt is the emulator
    /// cgroup, written for <c>numatune</c>. The command names the outermost cgroup that lacks the node: an inner one cannot allow
    /// more than it.
    /// </remarks>
    public static ForbiddenNode? Check(int pid, int node, string procfs = "/proc", string cgroupfs = "/sys/fs/cgroup")
    {
        IReadOnlyList<int> allowed;
        try
        {
            allowed = ProcessFacts.ReadAllowedNodes(pid, procfs);
        }
        catch (GuestMemoryException e) when (e.Kind == GuestMemoryError.Unsupported)
        {
            return null; // a kernel without cpusets forbids nothing
        }
        if (allowed.Contains(node))
            return null;
        if (LimitingFile(pid, node, procfs, cgroupfs) is not { } file)
            return new ForbiddenNode(node, allowed, Mend: null);
        string cgroup = Path.GetFileName(Path.GetDirectoryName(file)!);
        return new ForbiddenNode(node, allowed, ShellLine.Write(NodeList.Format(allowed.Append(node)), file))
        {
            Unit = Path.GetExtension(cgroup) is ".service" or ".scope" or ".slice" ? cgroup : null,
        };
    }

    private static string? LimitingFile(int pid, int node, string procfs, string cgroupfs)
    {
        // cgroup v2: "0::/machine.slice/…"; v1: "4:cpuset:/machine/…", mounted at …/cpuset.
        string[][] lines =
            [.. ProcessFacts.Read(pid, "cgroup", procfs).Split('\n').Select(l => l.Split(':', 3)).Where(l => l.Length == 3)];
        string[]? v1 = lines.FirstOrDefault(l => l[1].Split(',').Contains("cpuset"));
        string[]? cgroup = v1 ?? lines.FirstOrDefault(l => l[0] == "0");
        if (cgroup is null)
            return null;

        string directory = v1 is null ? cgroupfs : Path.Combine(cgroupfs, "cpuset");
        foreach (string name in cgroup[2].Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            directory = Path.Combine(directory, name);
            string file = Path.Combine(directory, "cpuset.mems");
            if (KernelText.ReadListIfPresent(file) is { Count: > 0 } own && !own.Contains(node))
                return file;
        }

        return null;
    }
}
