// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Memory.Numa;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>The host's two kinds of memory, as the configuration and the kernel say, in the planner's terms.</summary>
internal sealed class HostMemory
{
    private readonly NumaTopology _topology;
    private readonly MemoryTiers _tiers;
    private readonly double? _writeWeight;
    private readonly bool _isBalanced;

    private HostMemory(NumaTopology topology, MemoryTiers tiers, AgentConfig config, bool isBalanced)
    {
        _isBalanced = isBalanced;
        _topology = topology;
        _tiers = tiers;
        _writeWeight = config.WriteWeight;
        FastBytes = TotalBytes(tiers.Fast);
        PoolBytes = (long)(config.Pool.Resolve((ulong)FastBytes) ?? (ulong)FastBytes);
    }

    /// <summary>Memory of the fast tier.</summary>
    public long FastBytes { get; }

    /// <summary>Of it, what all budgets together may use.</summary>
    public long PoolBytes { get; }

    /// <summary>Whether there is a slow tier, so that there is somewhere to move pages to.</summary>
    public bool HasSlowTier => _tiers.HasSlow;

    /// <summary>What a host is told that has none.</summary>
    public string OneTierNote => "this host has one memory tier: VMs are watched and "
        + (Rehomes ? "their hot pages follow them between sockets" : "nothing is moved")
        + "; what a slow tier would save: virttier estimate";

    /// <summary>What was taken for granted of the tiers because the kernel does not say it, a sentence each.</summary>
    public IReadOnlyList<string> Assumptions => _topology.Assumptions;

    /// <exception cref="ConfigException">The configuration names nodes that the host does not have.</exception>
    public static HostMemory Read(AgentConfig config, NumaTopology topology, string procfs = "/proc")
    {
        bool isBalanced = IsBalanced(procfs);
        if (config.FastNodes is null && config.SlowTiers is null)
            return new HostMemory(topology, topology.Tiers, config, isBalanced);
        if (config.FastNodes is null || config.SlowTiers is null)
            throw new ConfigException("tiers: 'fast' and 'slow' belong together; give both lists of NUMA nodes, or neither");
        try
        {
            return new HostMemory(topology, MemoryTiers.FromLists(topology, [config.FastNodes, .. config.SlowTiers]), config,
                isBalanced);
        }
        catch (ArgumentException e)
        {
            throw new ConfigException($"tiers: {e.Message}", e);
        }
    }

    /// <summary>Whether there is a choice of where in its tier a page is: several fast nodes,
    /// or more than one slow tier.</summary>
    public bool HasManyPlaces => _tiers.Fast.Nodes.Count > 1 || _tiers.All.Count > 2;

    /// <summary>Whether pages are moved from one fast node to another. Without a slow tier that is all that is done, and only
    /// where the kernel does not do it itself (NUMA balancing).</summary>
    public bool Rehomes => _tiers.Fast.Nodes.Count > 1 && (HasSlowTier || !_isBalanced);

    /// <summary>Whether memory that is bound to these nodes can be tiered among them, or, without a slow tier, moved.</summary>
    public bool LeavesChoice(IReadOnlyList<int> bound)
    {
        int[] fast = [.. bound.Intersect(FastNodes)];
        return HasSlowTier ? fast.Length > 0 && bound.Any(node => _tiers.RankOf(node) > 0) : fast.Length > 1;
    }

    /// <summary>The fast nodes.</summary>
    public IReadOnlyList<int> FastNodes => _tiers.Fast.Nodes;

    /// <inheritdoc cref="NumaTopology.Nodes"/>
    public IReadOnlyList<NumaNode> Nodes => _topology.Nodes;

    /// <inheritdoc cref="MemoryTiers"/>
    public MemoryTiers Tiers => _tiers;

    /// <summary>Of the memory of a fast node, what all budgets together may use.</summary>
    public long PoolBytesOf(int node) => FastBytes == 0 ? 0 : (long)((Int128)PoolBytes * BytesOf(node) / FastBytes);

    /// <summary>Memory of a node.</summary>
    public long BytesOf(int node) => _topology.Nodes.FirstOrDefault(n => n.Id == node)?.TotalBytes ?? 0;

    /// <summary>The fast nodes, each with the slow one below it.</summary>
    public IEnumerable<(int Fast, int Slow)> TierPairs()
    {
        foreach (int fast in _tiers.Fast.Nodes)
        {
            if (_tiers.SlowerNodeNear(fast) is int slow)
                yield return (fast, slow);
        }
    }

    /// <summary>Reads of a slow node that a write to it costs as much as: by the configuration, else by the firmware,
    /// else 1.</summary>
    public double WriteWeight(int fast, int slow) =>
        _writeWeight ?? (_topology.ReadPerformance(fast) is { } faster && _topology.ReadPerformance(slow) is { } slower
            ? NodePerformance.WriteWeight(faster, slower)
            : 1);

    /// <summary>Whether the tiers, and what the configuration says of writes to them, are the same as there.</summary>
    public bool HasSameTiers(HostMemory other) => _writeWeight == other._writeWeight &&
        _isBalanced == other._isBalanced && _tiers.All.Select(tier => NodeList.Format(tier.Nodes))
            .SequenceEqual(other._tiers.All.Select(tier => NodeList.Format(tier.Nodes)));

    /// <summary>Whether nothing is different from there: the same tiers, with the same memory, for the same pool.</summary>
    public bool IsSame(HostMemory other) => HasSameTiers(other) && PoolBytes == other.PoolBytes &&
        _tiers.All.Select(TotalBytes).SequenceEqual(other._tiers.All.Select(other.TotalBytes))
        && Assumptions.SequenceEqual(other.Assumptions);

    /// <summary>The tiers in one line, for the log.</summary>
    public string Describe() => string.Join(
        "; ",
        [
            .. _tiers.All.Select(tier => $"{NameOf(tier)}: "
                + $"node {NodeList.Format(tier.Nodes)} with {Sizes.Show(TotalBytes(tier))}"),
            .. Assumptions,
        ]);

    /// <summary>Turns the node of each page, as <see cref="Residency"/> has it, into the planner's tier of each page.</summary>
    public void ToTiers(Span<byte> pages)
    {
        Span<byte> tierOfNode = stackalloc byte[256];
        for (int node = 0; node < tierOfNode.Length; node++)
            tierOfNode[node] = _tiers.RankOf(node) == 0 ? Residency.Fast : Residency.Slow;
        tierOfNode[Residency.Absent] = Residency.Absent;
        for (int i = 0; i < pages.Length; i++)
            pages[i] = tierOfNode[pages[i]];
    }

    private static bool IsBalanced(string procfs)
    {
        try
        {
            return File.ReadAllText(Path.Combine(procfs, "sys/kernel/numa_balancing")).Trim() != "0";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // a kernel that cannot do it
        }
    }

    /// <summary>The tiers as people see them.</summary>
    public IReadOnlyList<TierStatus> Status() =>
    [
        .. _tiers.All.Select(tier => new TierStatus(
            NameOf(tier), tier.Nodes, TotalBytes(tier), tier.Nodes.Sum(_topology.ReadFreeBytes))
        {
            ByNode = [.. tier.Nodes.Select(node => new NodeStatus(node, BytesOf(node), _topology.ReadFreeBytes(node)))],
        }),
    ];

    // Of more than three, those behind are all of them slower.
    private static string NameOf(MemoryTier tier) => tier.Rank switch
    {
        0 => "fast",
        1 => "slow",
        _ => "slower",
    };

    private long TotalBytes(MemoryTier tier) => _topology.Nodes.Where(n => tier.Nodes.Contains(n.Id)).Sum(n => n.TotalBytes);
}
