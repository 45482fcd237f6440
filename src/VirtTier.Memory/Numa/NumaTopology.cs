// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Memory.Linux;
using VirtTier.Primitives;

namespace VirtTier.Memory.Numa;

/// <summary>The host's NUMA nodes and, from the kernel's knowledge of them, its memory tiers.</summary>
public sealed class NumaTopology
{
    private readonly string _sysfs;

    private NumaTopology(string sysfs, IReadOnlyList<NumaNode> nodes, IReadOnlyList<MemoryTier> tiers,
        IReadOnlyList<string> assumptions)
    {
        _sysfs = sysfs;
        Nodes = nodes;
        Assumptions = assumptions;
        Tiers = new MemoryTiers(nodes, tiers);
    }

    /// <summary>The nodes that are online, by number.</summary>
    public IReadOnlyList<NumaNode> Nodes { get; }

    /// <summary>The tiers, as found on the host; see <see cref="MemoryTiers.FromLists"/> to say otherwise.</summary>
    public MemoryTiers Tiers { get; }

    /// <summary>What was taken for granted because the kernel does not say it, a sentence each; most hosts have none.</summary>
    public IReadOnlyList<string> Assumptions { get; }

    /// <summary>Reads the topology.</summary>
    /// <param name="sysfs">Where sysfs is mounted.</param>
    /// <exception cref="GuestMemoryException">There is no such information, because the kernel was built without NUMA, or it
    /// cannot be used; the message names the file.</exception>
    /// <remarks>
    /// The kernel's memory tiers (/sys/devices/virtual/memory_tiering, since Linux 6.1) come first: a lower number is faster.
    /// They are not enough, because without a HMAT table from the firmware all nodes are in one tier, memory-only ones
    /// too. So within one tier of the kernel, nodes without processors form a slower tier of their own. A node that is in none of
    /// the kernel's tiers, as when it has just come online, ranks behind all that are in one.
    /// </remarks>
    public static NumaTopology Read(string sysfs = "/sys")
    {
        string online = Path.Combine(NodeFiles.Directory(sysfs), "online");
        if (!File.Exists(online))
        {
            throw new GuestMemoryException(
                GuestMemoryError.Unsupported,
                $"{online} does not exist: this kernel was built without NUMA support (CONFIG_NUMA)");
        }

        List<string> assumptions = [];
        IReadOnlyList<int> ids = [.. (KernelText.ReadListIfPresent(online) ?? []).Distinct().Order()];
        NumaNode[] nodes = [.. ids.Select(id => ReadNode(sysfs, id, ids, assumptions)).OfType<NumaNode>()];
        if (ids.Except(nodes.Select(node => node.Id)).ToArray() is { Length: > 0 } gone)
            assumptions.Add(
                $"node {NodeList.Format(gone)} is left out: {online} lists it, "
                    + $"but {NodeFiles.DirectoryOf(sysfs, gone[0])} does not exist");
        NumaNode[] usable = [.. nodes.Where(node => node.HasMemory && node.Id <= Residency.HighestNode)];
        if (usable.Length == 0)
        {
            throw new GuestMemoryException(
                GuestMemoryError.Failed, $"no NUMA node of {online} ({NodeList.Format(ids)}) has memory that can be used"
                    + string.Concat(assumptions.Select(a => "; " + a)));
        }
        if (nodes.Where(node => node.HasMemory && node.Id > Residency.HighestNode)
            .Select(node => node.Id).ToArray() is { Length: > 0 } beyond)
            assumptions.Add(
                $"memory of node {NodeList.Format(beyond)} is left alone: nodes 0 to {Residency.HighestNode} can be tiered");

        Dictionary<int, int> kernelTiers = ReadKernelTiers(Path.Combine(sysfs, "devices/virtual/memory_tiering"), assumptions);
        int[] unlisted = [.. usable.Select(node => node.Id).Where(id => !kernelTiers.ContainsKey(id))];
        if (kernelTiers.Count > 0 && unlisted.Length > 0)
            assumptions.Add(
                $"node {NodeList.Format(unlisted)} is taken to be slower than all others: the kernel lists it in no memory tier");
        IEnumerable<MemoryTier> tiers = usable
            .GroupBy(node => (KernelTier: kernelTiers.GetValueOrDefault(node.Id, int.MaxValue), MemoryOnly: !node.HasCpu))
            .OrderBy(group => group.Key)
            .Select((group, rank) => new MemoryTier(rank, [.. group.Select(node => node.Id)]));
        return new NumaTopology(sysfs, nodes, [.. tiers], assumptions);
    }

    /// <summary>Free memory of a node now, in bytes.</summary>
    public long ReadFreeBytes(int node) => NodeFiles.ReadMeminfo(_sysfs, node, " MemFree:"u8) ?? 0;

    /// <summary>How a node's memory performs; null if the firmware does not say.</summary>
    public NodePerformance? ReadPerformance(int node) => NodePerformance.Read(_sysfs, node);

    /// <summary>Reads a node; null if it has just gone offline.</summary>
    private static NumaNode? ReadNode(string sysfs, int id, IReadOnlyList<int> ids, List<string> assumptions)
    {
        string directory = NodeFiles.DirectoryOf(sysfs, id);
        string cpulist = Path.Combine(directory, "cpulist");
        if (KernelText.ReadListIfPresent(cpulist) is not { } cpus)
        {
            if (Directory.Exists(directory))
                throw new GuestMemoryException(
                    GuestMemoryError.Failed, $"{cpulist} does not exist: whether node {id} has processors decides its tier");
            return null;
        }
        string meminfo = NodeFiles.MeminfoOf(sysfs, id);
        long? total = NodeFiles.ReadMeminfo(sysfs, id, " MemTotal:"u8);
        if (total is null)
            assumptions.Add(
                $"node {id} is taken to have no memory: "
                    + $"{meminfo} {(File.Exists(meminfo) ? "has no MemTotal that can be read" : "does not exist")}");
        return new NumaNode(id, cpus, total ?? 0, ReadDistances(directory, id, ids, assumptions));
    }

    /// <summary>The distances from a node, of which the kernel writes one for each node that is online;
    /// none if they make no sense.</summary>
    private static Dictionary<int, int> ReadDistances(string directory, int id, IReadOnlyList<int> ids, List<string> assumptions)
    {
        string file = Path.Combine(directory, "distance");
        string? text = null;
        try
        {
            text = KernelText.ReadIfPresent(file);
        }
        catch (GuestMemoryException)
        {
            // Said below: without distances one does.
        }
        string[] words = (text ?? "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        int[] distances = [.. words.Select(
            word => int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out int distance) ? distance : -1)];
        if (distances.Length >= ids.Count && !distances.Contains(-1))
            return ids.Zip(distances).ToDictionary(pair => pair.First, pair => pair.Second);
        string why = text is null ? "cannot be read" : $"does not have {ids.Count} distances";
        assumptions.Add($"which nodes are near node {id} is taken from the order of their numbers: {file} {why}");
        return [];
    }

    /// <summary>The kernel's tier number of each node; none on kernels without memory tiers.</summary>
    private static Dictionary<int, int> ReadKernelTiers(string directory, List<string> assumptions)
    {
        var tiers = new Dictionary<int, int>();
        if (!Directory.Exists(directory))
            return tiers;

        const string prefix = "memory_tier";
        bool any = false;
        foreach (string tier in Directory.EnumerateDirectories(directory, prefix + "*"))
        {
            // Beside memory_tier4 there is a directory memory_tiers with no number.
            if (!int.TryParse(Path.GetFileName(tier)[prefix.Length..], NumberStyles.None,
                CultureInfo.InvariantCulture, out int number))
                continue;
            any = true;
            foreach (int node in KernelText.ReadListIfPresent(Path.Combine(tier, "nodelist")) ?? [])
                tiers[node] = Math.Min(number, tiers.GetValueOrDefault(node, number));
        }
        if (any && tiers.Count == 0)
            assumptions.Add(
                "nodes without processors are taken to be slower than those with some: "
                    + $"the memory tiers in {directory} list no node");
        return tiers;
    }
}
