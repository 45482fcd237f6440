// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Memory;

/// <summary>The host's NUMA nodes and, from the kernel's knowledge of them, its memory tiers.</summary>
public sealed class NumaTopology
{
    private readonly string _sysfs;

    private NumaTopology(string sysfs, IReadOnlyList<NumaNode> nodes, IReadOnlyList<MemoryTier> tiers)
    {
        _sysfs = sysfs;
        Nodes = nodes;
        Tiers = new MemoryTiers(nodes, tiers);
    }

    /// <summary>The nodes that are online, by number.</summary>
    public IReadOnlyList<NumaNode> Nodes { get; }

    /// <summary>The tiers, as found on the host; see <see cref="MemoryTiers.FromLists"/> to say otherwise.</summary>
    public MemoryTiers Tiers { get; }

    /// <summary>Reads the topology.</summary>
    /// <param name="sysfs">Where sysfs is mounted.</param>
    /// <exception cref="GuestMemoryException">There is no such information: the kernel was built without NUMA.</exception>
    /// <remarks>
    /// The kernel's memory tiers (/sys/devices/virtual/memory_tiering, since Linux 6.1) come first: a lower number is faster.
    /// They are not enough, because without a HMAT table from the firmware all nodes are in one tier, memory-only ones
    /// too. So within one tier of the kernel, nodes without processors form a slower tier of their own.
    /// </remarks>
    public static NumaTopology Read(string sysfs = "/sys")
    {
        string online = Path.Combine(NodeFiles.Directory(sysfs), "online");
        if (!File.Exists(online))
        {
            throw new GuestMemoryException(
                GuestMemoryError.Unsupported, $"{online} does not exist: this kernel was built without NUMA support (CONFIG_NUMA)");
        }

        IReadOnlyList<int> ids = NodeList.Parse(File.ReadAllText(online));
        NumaNode[] nodes = [.. ids.Select(id => ReadNode(sysfs, id, ids))];
        Dictionary<int, int> kernelTiers = ReadKernelTiers(Path.Combine(sysfs, "devices/virtual/memory_tiering"));
        IEnumerable<MemoryTier> tiers = nodes
            .Where(node => node.HasMemory)
            .GroupBy(node => (KernelTier: kernelTiers.GetValueOrDefault(node.Id), MemoryOnly: !node.HasCpu))
            .OrderBy(group => group.Key)
            .Select((group, rank) => new MemoryTier(rank, [.. group.Select(node => node.Id)]));
        return new NumaTopology(sysfs, nodes, [.. tiers]);
    }

    /// <summary>Free memory of a node now, in bytes.</summary>
    public long ReadFreeBytes(int node) => NodeFiles.ReadMeminfo(_sysfs, node, " MemFree:"u8) ?? 0;

    /// <summary>How a node's memory performs; null if the firmware does not say.</summary>
    public NodePerformance? ReadPerformance(int node) => NodePerformance.Read(_sysfs, node);

    private static NumaNode ReadNode(string sysfs, int id, IReadOnlyList<int> ids)
    {
        string directory = Path.Combine(NodeFiles.Directory(sysfs), $"node{id}");
        int[] distances =
        [
            .. File.ReadAllText(Path.Combine(directory, "distance"))
                .Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
                .Select(text => int.Parse(text, CultureInfo.InvariantCulture)),
        ];
        return new NumaNode(
            id,
            NodeList.Parse(File.ReadAllText(Path.Combine(directory, "cpulist"))),
            NodeFiles.ReadMeminfo(sysfs, id, " MemTotal:"u8) ?? 0,
            ids.Zip(distances).ToDictionary(pair => pair.First, pair => pair.Second));
    }

    /// <summary>The kernel's tier number of each node; none on kernels without memory tiers.</summary>
    private static Dictionary<int, int> ReadKernelTiers(string directory)
    {
        var tiers = new Dictionary<int, int>();
        if (!Directory.Exists(directory))
            return tiers;

        const string prefix = "memory_tier";
        foreach (string tier in Directory.EnumerateDirectories(directory, prefix + "*"))
        {
            // Beside memory_tier4 there is a directory memory_tiers with no number.
            if (!int.TryParse(Path.GetFileName(tier)[prefix.Length..], CultureInfo.InvariantCulture, out int number))
                continue;
            foreach (int node in NodeList.Parse(File.ReadAllText(Path.Combine(tier, "nodelist"))))
                tiers[node] = number;
        }

        return tiers;
    }
}
