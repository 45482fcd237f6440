// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Memory.Numa;

/// <summary>Nodes with memory of about the same speed.</summary>
/// <param name="Rank">0 for the fastest tier.</param>
/// <param name="Nodes">Its nodes' numbers, in order.</param>
public sealed record MemoryTier(int Rank, IReadOnlyList<int> Nodes);

/// <summary>The host's memory tiers, fastest first, and which nodes belong together across them.</summary>
public sealed class MemoryTiers
{
    private readonly Dictionary<int, NumaNode> _nodes;

    internal MemoryTiers(IEnumerable<NumaNode> nodes, IReadOnlyList<MemoryTier> tiers)
    {
        _nodes = nodes.ToDictionary(node => node.Id);
        All = tiers;
    }

    /// <summary>The tiers, fastest first.</summary>
    public IReadOnlyList<MemoryTier> All { get; }

    /// <summary>The fastest tier: DRAM.</summary>
    public MemoryTier Fast => All[0];

    /// <summary>True if there is more than one tier, so that something can be tiered.</summary>
    public bool HasSlow => All.Count > 1;

    /// <summary>Tiers as an operator lists them, fastest first; nodes that are not listed are not used.</summary>
    /// <exception cref="ArgumentException">A node does not exist, has no memory, or is listed twice;
    /// or a tier is empty.</exception>
    public static MemoryTiers FromLists(NumaTopology topology, IReadOnlyList<IReadOnlyList<int>> tiers)
    {
        ArgumentNullException.ThrowIfNull(topology);
        ArgumentNullException.ThrowIfNull(tiers);
        if (tiers.Count == 0 || tiers.Any(tier => tier.Count == 0))
            throw new ArgumentException("a memory tier without nodes: each tier needs at least one NUMA node");

        var seen = new HashSet<int>();
        foreach (int id in tiers.SelectMany(tier => tier))
        {
            NumaNode? node = topology.Nodes.FirstOrDefault(n => n.Id == id);
            if (node is null)
                throw new ArgumentException(
                    $"unknown NUMA node {id}: this host has {NodeList.Format(topology.Nodes.Select(n => n.Id))}");
            if (!node.HasMemory)
            {
                string others = NodeList.Format(topology.Nodes.Where(n => n.HasMemory).Select(n => n.Id));
                throw new ArgumentException($"NUMA node {id} has no memory: nodes with memory are {others}");
            }

            if (id > Residency.HighestNode)
                throw new ArgumentException($"NUMA node {id} cannot be tiered: nodes 0 to {Residency.HighestNode} can");
            if (!seen.Add(id))
                throw new ArgumentException($"NUMA node {id} is listed twice: a node belongs to one memory tier");
        }

        return new MemoryTiers(topology.Nodes, [.. tiers.Select((tier, rank) => new MemoryTier(rank, [.. tier.Order()]))]);
    }

    /// <summary>Rank of the tier of a node (0 = fastest), or -1 for a node in no tier.</summary>
    public int RankOf(int node) => All.FirstOrDefault(tier => tier.Nodes.Contains(node))?.Rank ?? -1;

    /// <summary>The node of the fastest tier nearest to the processors of node <paramref name="cpuNode"/>.</summary>
    public int FastNodeNear(int cpuNode) => Nearest(cpuNode, Fast);

    /// <summary>All nodes of the fastest tier, those near <paramref name="node"/> before others: each is for what has no room on
    /// those before it.</summary>
    public IReadOnlyList<int> FastNodesFrom(int node) => [.. ByNearness(node, Fast)];

    /// <summary>Relative access cost from one node to another (10 = local), as the firmware says.</summary>
    /// <returns><see cref="int.MaxValue"/> if it does not.</returns>
    public int Distance(int from, int to) => _nodes.TryGetValue(from, out NumaNode? node) ? node.DistanceTo(to) : int.MaxValue;

    /// <summary>The node of the next slower tier nearest to <paramref name="node"/>, where its cold pages go.</summary>
    /// <returns>Null if the node is in the slowest tier, or in none.</returns>
    public int? SlowerNodeNear(int node) => SlowerNodesFrom(node) is [int nearest, ..] ? nearest : null;

    /// <summary>All nodes where the cold pages of <paramref name="node"/> may go, best first: those of the next slower tier, the
    /// nearest before the others, then those of the tier below it, and so on. The next one is for when there is
    /// no room on those before it.</summary>
    /// <returns>None if the node is in the slowest tier, or in none.</returns>
    public IReadOnlyList<int> SlowerNodesFrom(int node)
    {
        int rank = RankOf(node);
        return rank < 0 ? [] : [.. All.Skip(rank + 1).SelectMany(tier => ByNearness(node, tier))];
    }

    /// <summary>The nodes of the slow tier next above that of <paramref name="node"/>, those near <paramref name="from"/> before
    /// others.</summary>
    /// <returns>None if there is no slow tier above it.</returns>
    public IReadOnlyList<int> SlowNodesAbove(int node, int from) =>
        RankOf(node) is > 1 and int rank ? [.. ByNearness(from, All[rank - 1])] : [];

    private int Nearest(int from, MemoryTier tier) => ByNearness(from, tier).First();

    // Of two nodes at the same distance, the one with the same place in its tier: sockets and their CXL nodes are
    // numbered in the same order, and firmware tables often give all CXL nodes one distance.
    private IEnumerable<int> ByNearness(int from, MemoryTier tier)
    {
        int place = RankOf(from) is >= 0 and int rank ? All[rank].Nodes.ToList().IndexOf(from) : 0;
        return tier.Nodes
            .Select(
                (node, i) => (Node: node, Distance: _nodes.TryGetValue(from, out NumaNode? n) ? n.DistanceTo(node) : 0, Place: i))
            .OrderBy(candidate => candidate.Node == from ? 0 : candidate.Distance)
            .ThenBy(candidate => Math.Abs(candidate.Place - place))
            .Select(candidate => candidate.Node);
    }
}
