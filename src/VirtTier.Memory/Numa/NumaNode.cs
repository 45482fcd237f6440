// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Numa;

/// <summary>One NUMA node of the host.</summary>
/// <param name="Id">The kernel's node number.</param>
/// <param name="Cpus">Its processors; none for CXL and other memory-only nodes.</param>
/// <param name="TotalBytes">Its memory; 0 for a node with processors only.</param>
/// <param name="Distances">Relative access cost from this node to each node, by node number (10 = local), as the firmware
/// says.</param>
public sealed record NumaNode(int Id, IReadOnlyList<int> Cpus, long TotalBytes, IReadOnlyDictionary<int, int> Distances)
{
    /// <summary>True if it has memory.</summary>
    public bool HasMemory => TotalBytes > 0;

    /// <summary>True if it has processors.</summary>
    public bool HasCpu => Cpus.Count > 0;

    /// <summary>Distance to another node; nodes that the firmware does not mention are farthest.</summary>
    public int DistanceTo(int node) => Distances.TryGetValue(node, out int distance) ? distance : int.MaxValue;
}
