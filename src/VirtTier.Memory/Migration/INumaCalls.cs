// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Processes;
namespace VirtTier.Memory.Migration;

/// <summary>Which pages move_pages(2) may move.</summary>
public enum MoveScope
{
    /// <summary>Pages that the process maps alone (MPOL_MF_MOVE).</summary>
    Own = 2,

    /// <summary>Also pages that other processes map (MPOL_MF_MOVE_ALL); needs CAP_SYS_NICE.</summary>
    Shared = 4,
}

/// <summary>The kernel's page migration, as it is: every rule about its results is in <see cref="PageMover"/>.</summary>
public interface INumaCalls
{
    /// <summary>move_pages(2) to one node.</summary>
    /// <returns>The call's own result, or -errno.</returns>
    int MovePages(int pid, ReadOnlySpan<ulong> addresses, int node, Span<int> status, MoveScope scope);

    /// <summary>move_pages(2) with no nodes: writes the node of each page, or -errno, into <paramref name="status"/>.</summary>
    /// <returns>0, or -errno.</returns>
    int QueryPages(int pid, ReadOnlySpan<ulong> addresses, Span<int> status);

    /// <summary>Null if the cpuset of a process lets it have memory on <paramref name="node"/>; pid 0 is the caller.</summary>
    /// <exception cref="GuestMemoryException">The process has ended.</exception>
    ForbiddenNode? CheckNode(int pid, int node);

    /// <summary>The memory of a process that is bound strictly to nodes, in order of address.
    /// Costs time for each of its pages.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or may not be looked at.</exception>
    IReadOnlyList<MemoryBinding> ReadBindings(int pid);

    /// <summary>CPU time that the calling thread has used.</summary>
    TimeSpan ThreadTime();

    /// <summary>Bytes that can be allocated on a node now without making the kernel reclaim memory there. Without limit for a
    /// node that does not exist: the call that moves says so.</summary>
    long FreeBytes(int node);
}
