// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Memory.Numa;
using VirtTier.Memory;

namespace VirtTier.Agent.Doctor;

/// <summary>The memory tiers, and why each node is in the one that it is in.</summary>
internal sealed class TiersCheck : IDoctorCheck
{
    private const string Check = "tiers";
    private const string NameTiers = "editor /etc/virttier/virttier.yaml # tiers: {fast: [...], slow: [...]}";
    // Not "all": a device may be a guest's, with what the guest keeps in it.
    private const string BringOnline =
        "daxctl list # then, of a device that nobody uses: daxctl reconfigure-device --mode=system-ram DEVICE";

    public Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel) =>
        Task.FromResult<IReadOnlyList<Finding>>([.. Look(host)]);

    private static IEnumerable<Finding> Look(DoctorHost host)
    {
        NumaTopology topology;
        HostMemory memory;
        Finding? failure = null;
        try
        {
            topology = NumaTopology.Read(host.At("/sys"));
            memory = HostMemory.Read(host.Config, topology, host.At("/proc"));
        }
        catch (Exception e) when (e is GuestMemoryException or ConfigException)
        {
            failure = Finding.Error(Check, e.Message, e switch
            {
                ConfigException => "editor /etc/virttier/virttier.yaml && virttier agent --check",
                GuestMemoryException { Kind: GuestMemoryError.Unsupported } => host.Install("linux-image-amd64", "kernel"),
                GuestMemoryException { Kind: GuestMemoryError.NoPermission } => "sudo virttier doctor",
                _ => "grep -r . /sys/devices/system/node/*/meminfo /sys/devices/system/node/*/cpulist "
                    + "# and report it: the kernel's "
                    + "files make no sense",
            });
            (topology, memory) = (null!, null!);
        }
        if (failure is not null)
        {
            yield return failure;
            yield break;
        }

        foreach (TierStatus tier in memory.Status())
            yield return Finding.Ok(
                Check,
                $"{tier.Name}: {string.Join("; ", tier.Nodes.Select(node => Explain(host, topology, node)))}");
        foreach (string assumption in memory.Assumptions)
            yield return Finding.Warning(Check, assumption, NameTiers);
        if (!memory.HasSlowTier)
        {
            yield return Finding.Note(Check, memory.OneTierNote, BringOnline);
        }
        else
        {
            yield return Finding.Ok(Check, $"pool of fast memory for all budgets together: {Sizes.Show(memory.PoolBytes)}");
            foreach (string line in memory.TierPairs().Select(pair => ExplainWrites(host, topology, memory, pair)).Distinct())
                yield return Finding.Ok(Check, line);
        }
    }

    private static string ExplainWrites(DoctorHost host, NumaTopology topology, HostMemory memory, (int Fast, int Slow) pair)
    {
        string source = host.Config.WriteWeight is not null
            ? "as the configuration says"
            : topology.ReadPerformance(pair.Fast) is null || topology.ReadPerformance(pair.Slow) is null
            ? "the firmware says nothing of that"
            : "by the firmware's tables";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"a write to node {pair.Slow} weighs {memory.WriteWeight(pair.Fast, pair.Slow):0.##} reads ({source})");
    }

    private static string Explain(DoctorHost host, NumaTopology topology, int id)
    {
        NumaNode node = topology.Nodes.First(n => n.Id == id);
        string why = host.Config.FastNodes is not null
            ? "as the configuration says"
            : (node.HasCpu ? "has processors" : "has no processors") + KernelTier(host, id);
        return $"node {id} with {Sizes.Show(node.TotalBytes)} ({why})";
    }

    private static string KernelTier(DoctorHost host, int node)
    {
        const string Tiers = "/sys/devices/virtual/memory_tiering";
        if (!host.Has(Tiers))
            return "";
        string? tier = Directory.EnumerateDirectories(host.At(Tiers), "memory_tier*").Select(d => Path.GetFileName(d))
            .FirstOrDefault(name => Lists(host, $"{Tiers}/{name}/nodelist", node));
        return tier is null ? "" : $", the kernel's {tier}";
    }

    private static bool Lists(DoctorHost host, string file, int node)
    {
        try
        {
            return host.Read(file) is { } list && NodeList.Parse(list).Contains(node);
        }
        catch (FormatException)
        {
            return false; // the topology says it
        }
    }
}
