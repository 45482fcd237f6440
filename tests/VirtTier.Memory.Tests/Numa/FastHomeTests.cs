// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Tests.Fakes;

namespace VirtTier.Memory.Tests.Numa;

/// <summary>Where guests are at home on kinds of machines.</summary>
public sealed class FastHomeTests : IDisposable
{
    private const long GiB = 1L << 30;
    private readonly TempTree _sys = new();

    public void Dispose() => _sys.Dispose();

    [Theory]
    // machine, where it ran, home before, need in GiB, vCPUs, home
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "", "", 8, 2, "")] // nothing is known: a page belongs where it is
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "0=5", "", 8, 2, "0")]
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "1=5", "", 8, 2, "1")]
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "0=1,1=1", "0", 8, 2, "0")] // of two alike it keeps the one it has
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "0=1,1=1", "1", 8, 2, "1")]
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "0=3,1=7", "0", 8, 2, "0")]
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "0=2,1=8", "0", 8, 2, "1")]
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "", "1", 8, 2, "1")] // idle for long
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "0=9", "", 300, 2, "0 1")] // its memory does not fit
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "0=5,1=4", "", 8, 48, "0 1")] // its vCPUs do not
    [InlineData(nameof(Machines.TwoSocketsWithCxl), "1=9", "0 1", 300, 2, "0 1")]
    [InlineData(nameof(Machines.Snc4), "5=9", "", 8, 8, "5")]
    [InlineData(nameof(Machines.Snc4), "5=9", "", 100, 8, "5 4")] // on to the next cluster of the same socket
    [InlineData(nameof(Machines.Snc4), "5=9", "", 8, 30, "5 4 6 7")]
    [InlineData(nameof(Machines.Snc4), "4=1,5=1,6=1,7=1", "6", 8, 8, "6")]
    [InlineData(nameof(Machines.EightSockets), "6=9", "2", 8, 2, "6")]
    [InlineData(nameof(Machines.EightSockets), "6=9", "", 130, 2, "6 5 7")]
    [InlineData(nameof(Machines.MemorylessAndGaps), "4=9", "", 8, 2, "0")] // a socket without memory
    [InlineData(nameof(Machines.MemorylessAndGaps), "4=9", "", 8, 32, "0")]
    [InlineData(nameof(Machines.HighNumbers), "8=9", "", 8, 2, "8")] // ids are no indexes
    [InlineData(nameof(Machines.NoDistances), "1=9", "", 8, 2, "1")]
    [InlineData(nameof(Machines.ThreeTiers), "1=9", "0", 8, 2, "1")]
    public void A_home_is_near_to_where_the_guest_runs(
        string machine, string ranOn, string present, int need, int vcpus, string home)
    {
        NumaTopology topology = Read(machine);
        Assert.Equal(home, Choose(topology, new HomeLimits(topology.Tiers.Fast.Nodes, []), ranOn, present, need * GiB, vcpus));
    }

    [Theory]
    [InlineData("1", "", false, "0=9", "1")] // a limit holds whatever is wished or seen
    [InlineData("1", "0", false, "0=9", "1")]
    [InlineData("0,1", "1", false, "0=9", "1")] // a wish goes before what is seen
    [InlineData("0,1", "0,1", false, "1=9", "1")]
    [InlineData("0,1", "0,1", true, "1=9", "0 1")]
    [InlineData("0,1", "2", true, "1=9", "1")] // a slow node, or none: no wish that can be met
    [InlineData("", "", false, "0=9", "")]
    public void A_strict_numatune_is_a_limit_and_a_preferred_one_a_wish(
        string allowed, string wished, bool spread, string ranOn, string home)
    {
        NumaTopology topology = Read(nameof(Machines.TwoSocketsWithCxl));
        HomeLimits limits = new(NodeList.Parse(allowed), NodeList.Parse(wished), spread);
        Assert.Equal(home, Choose(topology, limits, ranOn, "", GiB, 2));
    }

    [Fact]
    public void Where_it_first_runs_on_two_alike_the_one_with_most_of_its_pages_is_home()
    {
        NumaTopology topology = Read(nameof(Machines.TwoSocketsWithCxl));
        HomeLimits limits = new(topology.Tiers.Fast.Nodes, []);
        Assert.Equal("1", Choose(topology, limits, "0=6,1=4", "", GiB, 2, pages: node => node));
        Assert.Equal("0", Choose(topology, limits, "0=8,1=2", "", GiB, 2, pages: node => node));
    }

    private static string Choose(
        NumaTopology topology, HomeLimits limits, string ranOn, string present, long need, int vcpus,
        Func<int, long>? pages = null)
    {
        FastHome chooser = new(topology.Tiers, topology.Nodes, node => topology.Nodes.First(n => n.Id == node).TotalBytes);
        Dictionary<int, double> seconds = ranOn.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(on => on.Split('='))
            .ToDictionary(
                on => int.Parse(on[0], CultureInfo.InvariantCulture), on => double.Parse(on[1], CultureInfo.InvariantCulture));
        int[] before = [.. present.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(
            node => int.Parse(node, CultureInfo.InvariantCulture))];
        return string.Join(' ', chooser.Choose(limits, seconds, pages ?? (_ => 0), before, new HomeNeed(need, vcpus)));
    }

    private NumaTopology Read(string machine) =>
        NumaTopology.Read(
            Machines.Write(_sys, (string)MachinesTests.All.Single(row => row.Data.Item1 == machine).Data.Item2).Root);
}
