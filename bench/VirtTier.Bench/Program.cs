// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Bench;
using VirtTier.Bench.Migration;
using VirtTier.Bench.Peers;

// tiering: ratios measured in one run, and which of the bars they pass; heldout: families that nothing was tuned on, with
// no bars; migration: the same kind of ratios from an emulated host with two nodes; peers: DAMON and NUMA
// balancing beside VirtTier, in one of a newer kernel; reaction: how soon the agent follows, in the
// host of the tests' host ring. Exit status: 0 all passed, 1 not, 2 wrong use.
switch (args)
{
    case ["tiering"]:
        BarTable bars = new();
        TieringBench.Run(bars);
        AutoBench.Run(bars);
        RatesBench.Run(bars);
        ThroughputBench.Run(bars);
        return bars.Print();
    case ["throughput"]:
        BarTable speed = new();
        ThroughputBench.Run(speed);
        return speed.Print();
    case ["auto"]:
        BarTable auto = new();
        AutoBench.Run(auto);
        return auto.Print();
    case ["rates"]:
        BarTable rates = new();
        RatesBench.Run(rates);
        return rates.Print();
    case ["split-cost"]:
        SplitCostBench.Run();
        return 0;
    case ["heldout"]:
        HeldOutBench.Run();
        return 0;
    case ["migration"]:
        return await MigrationBench.RunAsync();
    case ["peers", string seconds, .. string[] parts]:
        return await PeersBench.RunAsync(parts, int.Parse(seconds, CultureInfo.InvariantCulture));
    case ["reaction"]:
        BarTable reaction = new();
        await ReactionBench.RunAsync(reaction);
        return reaction.Print();
    case [InsideHost.Verb, string pid, string mebibytes, string log]:
        return await InsideHost.RunAsync(
            int.Parse(pid, CultureInfo.InvariantCulture), int.Parse(mebibytes, CultureInfo.InvariantCulture), log);
    default:
        Console.Error.WriteLine(
            "usage: VirtTier.Bench tiering | throughput | auto | rates | split-cost | heldout | migration "
                + "| peers SECONDS [MANAGER|GUEST...] | reaction");
        return 2;
}
