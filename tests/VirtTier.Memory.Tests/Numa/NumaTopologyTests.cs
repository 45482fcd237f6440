// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Numa;
using VirtTier.Memory.Tests.Fakes;

namespace VirtTier.Memory.Tests.Numa;

public sealed class NumaTopologyTests : IDisposable
{
    private const long GiB = 1 << 30;
    private readonly TempTree _sysfs = new();

    public void Dispose() => _sysfs.Dispose();

    [Fact]
    public void One_node_is_one_tier()
    {
        NumaTopology topology = Read((0, "0-3", 8, "10"));
        Assert.Equal("0", Tiers(topology.Tiers));
        Assert.False(topology.Tiers.HasSlow);
        Assert.Null(topology.Tiers.SlowerNodeNear(0));
    }

    [Fact]
    public void A_node_without_processors_is_slow_even_if_the_kernel_puts_it_in_the_same_tier()
    {
        KernelTier(4, "0-1");
        NumaTopology topology = Read((0, "0-1", 2, "10 20"), (1, "", 4, "20 10"));
        Assert.Equal("0 | 1", Tiers(topology.Tiers));
        Assert.Equal(1, topology.Tiers.SlowerNodeNear(0));
        Assert.Equal((0, 1, -1), (topology.Tiers.RankOf(0), topology.Tiers.RankOf(1), topology.Tiers.RankOf(2)));
        Assert.Equal(4 * GiB, topology.Nodes[1].TotalBytes);
        Assert.Equal(1 * GiB, topology.ReadFreeBytes(0));
    }

    [Fact]
    public void A_kernel_without_memory_tiers_still_tells_slow_nodes()
    {
        Assert.Equal("0 | 1", Tiers(Read((0, "0-1", 2, "10 20"), (1, "", 2, "20 10")).Tiers));
    }

    [Fact]
    public void Tiers_from_hmat_come_in_the_kernels_order()
    {
        // Node 2 is memory-only and faster than DRAM (HBM).
        KernelTier(4, "0");
        KernelTier(22, "1");
        KernelTier(2, "2");
        _sysfs.File("devices/virtual/memory_tiering/memory_tiers/uevent", "");
        Assert.Equal("2 | 0 | 1", Tiers(Read((0, "0-1", 2, "10 20 11"), (1, "", 2, "20 10 20"), (2, "", 1, "11 20 10")).Tiers));
    }

    [Fact]
    public void Performance_is_read_as_processors_see_it_and_only_where_all_of_it_is_known()
    {
        NumaTopology topology = Read((0, "0-1", 2, "10 20"), (1, "", 2, "20 10"), (2, "", 2, "20 20"));
        Performance(0, "access0", 80, 80, 20000, 20000);
        Performance(1, "access0", 200, 100, 9000, 3000);
        Performance(1, "access1", 300, 100, 8000, 2000);
        Performance(2, "access0", 300, 100, 8000, 0);
        Assert.Equal(new NodePerformance(80, 80, 20000, 20000), topology.ReadPerformance(0));
        Assert.Equal(new NodePerformance(300, 100, 8000, 2000), topology.ReadPerformance(1));
        Assert.Null(topology.ReadPerformance(2));
    }

    [Theory]
    [InlineData(200, 200, 10000, 10000, 1.0)]    // half as fast at both
    [InlineData(200, 200, 10000, 6666.7, 2.0)]   // a write loses twice as much, by bandwidth
    [InlineData(300, 150, 20000, 20000, 0.25)]   // and a quarter as much, by latency
    [InlineData(110, 900, 20000, 20000, 4.0)]    // as much as is believed
    [InlineData(100, 300, 20000, 20000, 1.0)]    // reads that lose nothing: no slow memory
    public void Writes_weigh_what_they_lose_against_reads(
        double readLatency, double writeLatency, double readBandwidth, double writeBandwidth, double weight)
    {
        NodePerformance fast = new(100, 100, 20000, 20000);
        Assert.Equal(weight, NodePerformance.WriteWeight(
            fast,
            new NodePerformance(readLatency, writeLatency, readBandwidth, writeBandwidth)), 0.001);
    }

    [Fact]
    public void Each_socket_has_its_own_slow_node()
    {
        NumaTopology topology = Read(
            (0, "0-1", 8, "10 21 14 24"), (1, "2-3", 8, "21 10 24 14"), (2, "", 8, "14 24 10 26"), (3, "", 8, "24 14 26 10"));
        Assert.Equal("0,1 | 2,3", Tiers(topology.Tiers));
        Assert.Equal((2, 3), (topology.Tiers.SlowerNodeNear(0), topology.Tiers.SlowerNodeNear(1)));
        Assert.Equal((0, 1), (topology.Tiers.FastNodeNear(0), topology.Tiers.FastNodeNear(1)));
        Assert.Equal(1, topology.Tiers.FastNodeNear(3));
    }

    [Fact]
    public void Slow_nodes_at_one_distance_are_dealt_out_in_order()
    {
        NumaTopology topology = Read(
            (0, "0-1", 8, "10 21 30 30"), (1, "2-3", 8, "21 10 30 30"), (2, "", 8, "30 30 10 30"), (3, "", 8, "30 30 30 10"));
        Assert.Equal((2, 3), (topology.Tiers.SlowerNodeNear(0), topology.Tiers.SlowerNodeNear(1)));
    }

    [Fact]
    public void A_node_without_memory_is_in_no_tier()
    {
        NumaTopology topology = Read((0, "0-1", 8, "10 20 20"), (1, "2-3", 0, "20 10 20"), (2, "", 8, "20 20 10"));
        Assert.Equal("0 | 2", Tiers(topology.Tiers));
        Assert.False(topology.Nodes[1].HasMemory);
        Assert.Equal(0, topology.Tiers.FastNodeNear(1));
    }

    [Fact]
    public void Nodes_may_be_numbered_with_gaps()
    {
        NumaTopology topology = Read((0, "0-1", 8, "10 17"), (8, "", 8, "17 10"));
        Assert.Equal("0 | 8", Tiers(topology.Tiers));
        Assert.Equal(17, topology.Nodes[0].DistanceTo(8));
    }

    [Fact]
    public void An_operator_may_say_otherwise()
    {
        NumaTopology topology = Read((0, "0-1", 8, "10 20 20"), (1, "2-3", 8, "20 10 20"), (2, "", 8, "20 20 10"));
        MemoryTiers tiers = MemoryTiers.FromLists(topology, [[0], [2, 1]]);
        Assert.Equal("0 | 1,2", Tiers(tiers));
        Assert.Equal(1, tiers.SlowerNodeNear(0));
    }

    [Theory]
    [InlineData("0|7", "unknown NUMA node 7: this host has 0-2")]
    [InlineData("0|1", "NUMA node 1 has no memory: nodes with memory are 0,2")]
    [InlineData("0|0", "NUMA node 0 is listed twice: a node belongs to one memory tier")]
    [InlineData("0|", "a memory tier without nodes: each tier needs at least one NUMA node")]
    public void Impossible_tiers_are_refused_by_name(string tiers, string message)
    {
        NumaTopology topology = Read((0, "0-1", 8, "10 20 20"), (1, "2-3", 0, "20 10 20"), (2, "", 8, "20 20 10"));
        int[][] lists = [.. tiers.Split('|').Select(list => NodeList.Parse(list).ToArray())];
        Assert.Equal(message, Assert.Throws<ArgumentException>(() => MemoryTiers.FromLists(topology, lists)).Message);
    }

    [Fact]
    public void A_kernel_without_numa_is_named()
    {
        var error = Assert.Throws<GuestMemoryException>(() => NumaTopology.Read(_sysfs.Root));
        Assert.Equal(GuestMemoryError.Unsupported, error.Kind);
    }

    [Fact]
    public void The_running_host_can_be_read()
    {
        NumaTopology topology = NumaTopology.Read();
        Assert.NotEmpty(topology.Tiers.Fast.Nodes);
        Assert.Contains(topology.Nodes, node => node.HasCpu && node.TotalBytes > 0);
        Assert.InRange(topology.ReadFreeBytes(topology.Tiers.Fast.Nodes[0]), 1, topology.Nodes.Sum(node => node.TotalBytes));
    }

    private static string Tiers(MemoryTiers tiers) => string.Join(" | ", tiers.All.Select(tier => string.Join(',', tier.Nodes)));

    private void KernelTier(int number, string nodes) =>
        _sysfs.File($"devices/virtual/memory_tiering/memory_tier{number}/nodelist", nodes + "\n");

    private void Performance(int node, string access, int readLatency, int writeLatency, int readBandwidth, int writeBandwidth)
    {
        foreach ((string name, int value) in new[]
        {
            ("read_latency", readLatency), ("write_latency", writeLatency), ("read_bandwidth", readBandwidth),
            ("write_bandwidth", writeBandwidth),
        })
            _sysfs.File($"devices/system/node/node{node}/{access}/initiators/{name}", $"{value}\n");
    }

    private NumaTopology Read(params (int Id, string Cpus, int GiB, string Distances)[] nodes)
    {
        _sysfs.File("devices/system/node/online", NodeList.Format(nodes.Select(node => node.Id)) + "\n");
        foreach ((int id, string cpus, int gib, string distances) in nodes)
        {
            _sysfs.File($"devices/system/node/node{id}/cpulist", cpus + "\n")
                .File($"devices/system/node/node{id}/distance", distances + "\n")
                .File(
                    $"devices/system/node/node{id}/meminfo",
                    $"Node {id} MemTotal:       {gib * 1048576L} kB\n"
                        + $"Node {id} MemFree:        {gib * 524288L} kB\nNode {id} MemUsed: 1 kB\n");
        }

        return NumaTopology.Read(_sysfs.Root);
    }
}
