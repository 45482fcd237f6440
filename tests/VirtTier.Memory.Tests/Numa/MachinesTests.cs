// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Tests.Fakes;

namespace VirtTier.Memory.Tests.Numa;

/// <summary>The tiers of kinds of machines, where their cold pages go, and what is taken for granted of them.</summary>
public sealed class MachinesTests : IDisposable
{
    private const string Nodes = "devices/system/node/";
    private readonly TempTree _sys = new();

    public static TheoryData<string, string> All => new()
    {
        { nameof(Machines.TwoSocketsWithCxl), Machines.TwoSocketsWithCxl },
        { nameof(Machines.OneSocketWithTwoCxl), Machines.OneSocketWithTwoCxl },
        { nameof(Machines.ThreeTiers), Machines.ThreeTiers },
        { nameof(Machines.Snc4), Machines.Snc4 },
        { nameof(Machines.EightSockets), Machines.EightSockets },
        { nameof(Machines.MemorylessAndGaps), Machines.MemorylessAndGaps },
        { nameof(Machines.HighNumbers), Machines.HighNumbers },
        { nameof(Machines.HmatWithHbm), Machines.HmatWithHbm },
        { nameof(Machines.NotYetInATier), Machines.NotYetInATier },
        { nameof(Machines.UnlistedWithProcessors), Machines.UnlistedWithProcessors },
        { nameof(Machines.EmptyTier), Machines.EmptyTier },
        { nameof(Machines.NoDistances), Machines.NoDistances },
        { nameof(Machines.TooFewDistances), Machines.TooFewDistances },
        { nameof(Machines.NoMeminfo), Machines.NoMeminfo },
        { nameof(Machines.ListedButGone), Machines.ListedButGone },
        { nameof(Machines.SixtyNodes), Machines.SixtyNodes },
    };

    public void Dispose() => _sys.Dispose();

    [Theory]
    [MemberData(nameof(All))]
    public void Tiers_targets_and_assumptions_are_as_expected(string name, string machine)
    {
        NumaTopology topology = NumaTopology.Read(Machines.Write(_sys, machine).Root);

        string[] lines = machine.Split('\n', StringSplitOptions.TrimEntries);
        Assert.Equal(Assert.Single(Expected(lines, "tiers ")),
            string.Join(" | ", topology.Tiers.All.Select(tier => NodeList.Format(tier.Nodes))));
        Assert.Equal(Expected(lines, "assumes ").Select(text => text.Replace("SYS", _sys.Root, StringComparison.Ordinal)),
            topology.Assumptions);
        string[] targets = Expected(lines, "from ");
        Assert.NotEmpty(targets);
        foreach (string[] target in targets.Select(text => text.Split(':', StringSplitOptions.TrimEntries)))
        {
            int node = int.Parse(target[0], CultureInfo.InvariantCulture);
            Assert.Equal($"{name} {node}: {target[1]}",
                $"{name} {node}: {string.Join(' ', topology.Tiers.SlowerNodesFrom(node))}");
        }
    }

    [Fact]
    public void Two_classes_of_performance_are_told_apart() =>
        Assert.Equal(new NodePerformance(80, 80, 200000, 200000),
            NumaTopology.Read(Machines.Write(_sys, Machines.HmatWithHbm).Root).ReadPerformance(0));

    [Theory]
    [InlineData("node0/cpulist", null, "cpulist does not exist: whether node 0 has processors decides its tier")]
    [InlineData("node0/cpulist", "many", "node0/cpulist: 'many' is neither a number nor a range")]
    [InlineData("online", "0-", "online: '0-' is neither a number nor a range")]
    [InlineData("online", "0-2147483647", "online: '0-2147483647' goes beyond 65535")]
    [InlineData("online", "", "no NUMA node of ")]
    [InlineData("node0/meminfo", "Node 0 MemTotal: 9223372036854775807 kB\n", "node 0 is taken to have no memory")]
    [InlineData("../../virtual/memory_tiering/memory_tier4/nodelist", "0-x", "memory_tier4/nodelist: '0-x' is neither")]
    public void What_cannot_be_used_is_named_by_its_file(string file, string? text, string message)
    {
        Machines.Write(_sys, "node 0 cpus=0-3 mem=1 dist=10\ntier 4 0");
        if (text is null)
            File.Delete(_sys.PathOf(Nodes + file));
        else
            _sys.File(Nodes + file, text);

        var error = Assert.Throws<GuestMemoryException>(() => NumaTopology.Read(_sys.Root));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Contains(_sys.Root, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("node0/cpulist")]
    [InlineData("node0/meminfo")]
    [InlineData("online")]
    public void A_file_without_end_or_that_is_none_is_refused(string file)
    {
        Machines.Write(_sys, "node 0 cpus=0-3 mem=1 dist=10");
        if (file != "node0/meminfo") // of which what the kernel writes at most is read
        {
            _sys.File(Nodes + file, new string(' ', 1 << 20));
            Assert.Contains($"{file}: it has more than 65535 bytes",
                Assert.Throws<GuestMemoryException>(() => NumaTopology.Read(_sys.Root)).Message, StringComparison.Ordinal);
        }
        File.Delete(_sys.PathOf(Nodes + file));
        Directory.CreateDirectory(_sys.PathOf(Nodes + file));
        Assert.Contains(file, Assert.Throws<GuestMemoryException>(() => NumaTopology.Read(_sys.Root)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(400)]
    [InlineData(410)] // the first number of which 2,048 bytes hold a part only
    [InlineData(3000)]
    public void A_long_list_is_read_whole(int processors)
    {
        int[] every = [.. Enumerable.Range(0, processors).Select(i => 1000 + (2 * i))];
        Machines.Write(_sys, "node 0 cpus=0-3 mem=1 dist=10");
        _sys.File(Nodes + "node0/cpulist", string.Join(',', every) + "\n");
        Assert.Equal(every, NumaTopology.Read(_sys.Root).Nodes[0].Cpus);
    }

    [Fact]
    public void A_node_that_cannot_be_counted_is_refused_by_name_where_an_operator_asks_for_it()
    {
        NumaTopology topology = NumaTopology.Read(Machines.Write(_sys, Machines.HighNumbers).Root);
        Assert.Equal(
            "NUMA node 255 cannot be tiered: nodes 0 to 252 can",
            Assert.Throws<ArgumentException>(() => MemoryTiers.FromLists(topology, [[0], [255]])).Message);
    }

    /// <summary>Whatever the files say: an answer that makes sense, or a sentence, and never another exception.</summary>
    [Fact]
    public void Damaged_trees_give_an_answer_or_a_sentence()
    {
        Random random = new(11);
        string[] machines = [Machines.TwoSocketsWithCxl, Machines.HmatWithHbm, Machines.MemorylessAndGaps];
        (int answers, int sentences) = (0, 0);
        for (int round = 0; round < 600; round++)
        {
            using TempTree tree = new();
            Machines.Write(tree, machines[random.Next(machines.Length)]);
            string[] files = Directory.GetFiles(tree.Root, "*", SearchOption.AllDirectories);
            for (int i = 0; i <= random.Next(3); i++)
                Mutation.Damage(random, files[random.Next(files.Length)]);
            try
            {
                NumaTopology topology = NumaTopology.Read(tree.Root);
                answers++;
                Assert.NotEmpty(topology.Tiers.Fast.Nodes);
                Assert.All(topology.Tiers.All, tier => Assert.NotEmpty(tier.Nodes));
                Assert.All(topology.Nodes, node => Assert.True(node.TotalBytes >= 0));
                foreach (NumaNode node in topology.Nodes)
                {
                    Assert.DoesNotContain(node.Id, topology.Tiers.SlowerNodesFrom(node.Id));
                    Assert.True(topology.ReadFreeBytes(node.Id) >= 0);
                    Assert.True(topology.ReadPerformance(node.Id) is not { ReadLatency: double.PositiveInfinity or double.NaN });
                }
            }
            catch (GuestMemoryException e)
            {
                sentences++;
                Assert.Contains(tree.Root, e.Message, StringComparison.Ordinal);
                Assert.InRange(e.Message.Length, 10, 2000);
            }
        }
        Assert.True(answers > 100 && sentences > 50, $"{answers} answers and {sentences} sentences: the damage shows too little");
    }

    private static string[] Expected(string[] lines, string key) =>
        [.. lines.Where(line => line.StartsWith(key, StringComparison.Ordinal)).Select(line => line[key.Length..])];
}
