// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Tests.Fakes;

namespace VirtTier.Memory.Tests.Numa;

/// <summary>
/// NUMA trees of kinds of machines, a few lines each, written as the files of sysfs for a test. A line is
/// <c>node ID cpus=LIST mem=GiB dist=D,D,...</c> (a part that is left out has no file), <c>tier NUMBER LIST</c>,
/// <c>perf ID ACCESS READ_LATENCY WRITE_LATENCY READ_BANDWIDTH WRITE_BANDWIDTH</c>, or <c>NAME = TEXT</c> for the file of that
/// name below devices/system/node. What is expected: <c>tiers LIST | LIST</c> and <c>from NODE: NODE NODE</c>,
/// where its cold pages go.
/// </summary>
internal static class Machines
{
    public const string TwoSocketsWithCxl = """
        node 0 cpus=0-31 mem=256 dist=10,21,14,24
        node 1 cpus=32-63 mem=256 dist=21,10,24,14
        node 2 cpus= mem=128 dist=14,24,10,26
        node 3 cpus= mem=128 dist=24,14,26,10
        tier 4 0-1
        tier 22 2-3
        tiers 0-1 | 2-3
        from 0: 2 3
        from 1: 3 2
        from 2:
        """;

    public const string OneSocketWithTwoCxl = """
        node 0 cpus=0-31 mem=256 dist=10,20,30
        node 1 cpus= mem=64 dist=20,10,40
        node 2 cpus= mem=64 dist=30,40,10
        tier 4 0-2
        tiers 0 | 1-2
        from 0: 1 2
        """;

    public const string ThreeTiers = """
        node 0 cpus=0-31 mem=256 dist=10,21,17,50
        node 1 cpus=32-63 mem=256 dist=21,10,27,40
        node 2 cpus= mem=128 dist=17,27,10,60
        node 3 cpus= mem=1024 dist=50,40,60,10
        tier 4 0-1
        tier 22 2
        tier 961 3
        tiers 0-1 | 2 | 3
        from 0: 2 3
        from 1: 2 3
        from 2: 3
        """;

    // Sub-NUMA clusters: each socket is four nodes; one CXL node a socket.
    public const string Snc4 = """
        node 0 cpus=0-7 mem=64 dist=10,12,12,12,21,21,21,21,14,24
        node 1 cpus=8-15 mem=64 dist=12,10,12,12,21,21,21,21,14,24
        node 2 cpus=16-23 mem=64 dist=12,12,10,12,21,21,21,21,14,24
        node 3 cpus=24-31 mem=64 dist=12,12,12,10,21,21,21,21,14,24
        node 4 cpus=32-39 mem=64 dist=21,21,21,21,10,12,12,12,24,14
        node 5 cpus=40-47 mem=64 dist=21,21,21,21,12,10,12,12,24,14
        node 6 cpus=48-55 mem=64 dist=21,21,21,21,12,12,10,12,24,14
        node 7 cpus=56-63 mem=64 dist=21,21,21,21,12,12,12,10,24,14
        node 8 cpus= mem=256 dist=14,14,14,14,24,24,24,24,10,26
        node 9 cpus= mem=256 dist=24,24,24,24,14,14,14,14,26,10
        tier 4 0-9
        tiers 0-7 | 8-9
        from 0: 8 9
        from 3: 8 9
        from 4: 9 8
        from 7: 9 8
        """;

    public const string EightSockets = """
        node 0 cpus=0-3 mem=64 dist=10,21,21,21,31,31,31,31
        node 1 cpus=4-7 mem=64 dist=21,10,21,21,31,31,31,31
        node 2 cpus=8-11 mem=64 dist=21,21,10,21,31,31,31,31
        node 3 cpus=12-15 mem=64 dist=21,21,21,10,31,31,31,31
        node 4 cpus=16-19 mem=64 dist=31,31,31,31,10,21,21,21
        node 5 cpus=20-23 mem=64 dist=31,31,31,31,21,10,21,21
        node 6 cpus=24-27 mem=64 dist=31,31,31,31,21,21,10,21
        node 7 cpus=28-31 mem=64 dist=31,31,31,31,21,21,21,10
        tier 4 0-7
        tiers 0-7
        from 0:
        """;

    // A server whose second socket has no DIMMs, and a CXL node with a number far from the others'.
    public const string MemorylessAndGaps = """
        node 0 cpus=0-15 mem=128 dist=10,20,30
        node 4 cpus=16-31 mem=0 dist=20,10,17
        node 17 cpus= mem=256 dist=30,17,10
        tier 4 0,17
        tiers 0 | 17
        from 0: 17
        """;

    // High numbers, as POWER machines have for the memory of accelerators: what cannot be tiered is left alone and said.
    public const string HighNumbers = """
        node 0 cpus=0-79 mem=256 dist=10,40,80,80
        node 8 cpus=80-159 mem=256 dist=40,10,80,80
        node 252 cpus= mem=16 dist=80,80,10,80
        node 255 cpus= mem=16 dist=80,80,80,10
        tiers 0,8 | 252
        from 0: 252
        from 8: 252
        assumes memory of node 255 is left alone: nodes 0 to 252 can be tiered
        """;

    public const string HmatWithHbm = """
        node 0 cpus=0-31 mem=128 dist=10,21,13
        node 1 cpus= mem=512 dist=21,10,23
        node 2 cpus= mem=64 dist=13,23,10
        tier 2 2
        tier 4 0
        tier 30 1
        perf 0 access0 80 80 200000 200000
        perf 0 access1 80 80 200000 200000
        perf 1 access0 250 250 60000 30000
        perf 2 access0 90 90 800000 800000
        tiers 2 | 0 | 1
        from 2: 0 1
        """;

    // The CXL node has just come online: its tier is not known yet.
    public const string NotYetInATier = """
        node 0 cpus=0-31 mem=128 dist=10,20
        node 1 cpus= mem=512 dist=20,10
        tier 4 0
        tiers 0 | 1
        from 0: 1
        assumes node 1 is taken to be slower than all others: the kernel lists it in no memory tier
        """;

    // DRAM that is listed, and a node with processors that is not.
    public const string UnlistedWithProcessors = """
        node 0 cpus=0-15 mem=128 dist=10,20,30
        node 1 cpus=16-31 mem=128 dist=20,10,30
        node 2 cpus= mem=128 dist=30,30,10
        tier 4 0
        tier 22 2
        tiers 0 | 2 | 1
        from 0: 2 1
        assumes node 1 is taken to be slower than all others: the kernel lists it in no memory tier
        """;

    public const string EmptyTier = """
        node 0 cpus=0-15 mem=128 dist=10,20
        node 1 cpus= mem=128 dist=20,10
        tier 4
        tiers 0 | 1
        from 0: 1
        assumes nodes without processors are taken to be slower than those with some: the memory tiers in SYS/devices/virtual/memory_tiering list no node
        """;

    public const string NoDistances = """
        node 0 cpus=0-15 mem=128
        node 1 cpus=16-31 mem=128
        node 2 cpus= mem=128
        node 3 cpus= mem=128
        tiers 0-1 | 2-3
        from 0: 2 3
        from 1: 3 2
        assumes which nodes are near node 0 is taken from the order of their numbers: SYS/devices/system/node/node0/distance cannot be read
        assumes which nodes are near node 1 is taken from the order of their numbers: SYS/devices/system/node/node1/distance cannot be read
        assumes which nodes are near node 2 is taken from the order of their numbers: SYS/devices/system/node/node2/distance cannot be read
        assumes which nodes are near node 3 is taken from the order of their numbers: SYS/devices/system/node/node3/distance cannot be read
        """;

    public const string TooFewDistances = """
        node 0 cpus=0-15 mem=128 dist=10
        node 1 cpus= mem=128 dist=20,ten
        tiers 0 | 1
        from 0: 1
        assumes which nodes are near node 0 is taken from the order of their numbers: SYS/devices/system/node/node0/distance does not have 2 distances
        assumes which nodes are near node 1 is taken from the order of their numbers: SYS/devices/system/node/node1/distance does not have 2 distances
        """;

    public const string NoMeminfo = """
        node 0 cpus=0-15 mem=128 dist=10,20,30
        node 1 cpus= dist=20,10,30
        node 2 cpus= mem=128 dist=30,30,10
        tiers 0 | 2
        from 0: 2
        assumes node 1 is taken to have no memory: SYS/devices/system/node/node1/meminfo does not exist
        """;

    public const string ListedButGone = """
        node 0 cpus=0-15 mem=128 dist=10,20
        online = 0-1
        tiers 0
        from 0:
        assumes node 1 is left out: SYS/devices/system/node/online lists it, but SYS/devices/system/node/node1 does not exist
        """;

    /// <summary>Sixty nodes, of which all but three have neither processors nor memory.</summary>
    public static string SixtyNodes { get; } = string.Join('\n',
        Enumerable.Range(0, 60).Select(
            id => $"node {id} cpus={(id == 0 ? "0-63" : "")} mem={(id is 0 or 31 or 59 ? 64 : 0)} "
                + $"dist={string.Join(',', Enumerable.Range(0, 60).Select(to => to == id ? 10 : 20 + Math.Abs(to - id)))}"))
        + "\ntier 4 0,31,59\ntiers 0 | 31,59\nfrom 0: 31 59";

    /// <summary>Writes the files of a machine.</summary>
    public static TempTree Write(TempTree sys, string machine)
    {
        const string Nodes = "devices/system/node/";
        List<int> online = [];
        foreach (string line in machine.Split('\n', StringSplitOptions.TrimEntries))
        {
            string[] words = line.Split(' ');
            if (words[0] == "node")
            {
                int id = int.Parse(words[1], CultureInfo.InvariantCulture);
                online.Add(id);
                sys.File($"{Nodes}node{id}/uevent", "");
                foreach (string[] part in words.Skip(2).Select(word => word.Split('=')))
                {
                    _ = part[0] switch
                    {
                        "cpus" => sys.File($"{Nodes}node{id}/cpulist", part[1] + "\n"),
                        "mem" => sys.File($"{Nodes}node{id}/meminfo",
                            $"\nNode {id} MemTotal:       {long.Parse(part[1], CultureInfo.InvariantCulture) << 20} kB\n"
                                + $"Node {id} MemFree:        {long.Parse(part[1], CultureInfo.InvariantCulture) << 19} kB\n"),
                        _ => sys.File($"{Nodes}node{id}/distance", part[1].Replace(',', ' ') + "\n"),
                    };
                }
            }
            else if (words[0] == "tier")
            {
                sys.File($"devices/virtual/memory_tiering/memory_tier{words[1]}/nodelist", string.Concat(words.Skip(2)) + "\n");
            }
            else if (words[0] == "perf")
            {
                string[] names = ["read_latency", "write_latency", "read_bandwidth", "write_bandwidth"];
                foreach ((string name, string value) in names.Zip(words.Skip(3)))
                    sys.File($"{Nodes}node{words[1]}/{words[2]}/initiators/{name}", value + "\n");
            }
        }
        sys.File(Nodes + "online", NodeList.Format(online) + "\n");
        foreach (string[] file in machine.Split('\n', StringSplitOptions.TrimEntries).Select(line => line.Split(" = ")).Where(
            file => file.Length == 2))
            sys.File(Nodes + file[0], file[1] + "\n");
        return sys;
    }
}
