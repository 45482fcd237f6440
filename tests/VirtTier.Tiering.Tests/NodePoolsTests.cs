// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Budgets;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

/// <summary>The DRAM of several nodes among domains that are at home on them.</summary>
public sealed class NodePoolsTests
{
    private static readonly Dictionary<int, double> s_on0 = new() { [0] = 1 };
    private static readonly Dictionary<int, double> s_on1 = new() { [1] = 1 };
    private static readonly Dictionary<int, double> s_unknown = [];

    [Fact]
    public void No_node_is_promised_twice() =>
        Assert.Equal([500, 500, 1000], Divide([1000, 1000], (Auto(4000), s_on0), (Auto(4000), s_on0), (Auto(4000), s_on1)));

    [Fact]
    public void What_one_node_leaves_over_goes_to_the_others() =>
        Assert.Equal([1700, 300], Divide([1000, 1000], (Auto(4000), s_on0), (Auto(300), s_on1)));

    [Fact]
    public void What_is_fixed_is_kept_where_its_own_node_has_too_little() =>
        Assert.Equal([1200, 800], Divide([1000, 1000], (Auto(4000) with { Dram = 1200 }, s_on0), (Auto(4000), s_on1)));

    [Fact]
    public void A_domain_that_spans_nodes_draws_on_each_by_its_share()
    {
        Dictionary<int, double> both = new() { [0] = 0.25, [1] = 0.75 };
        // On node 1 its shares count for three quarters of the other's.
        long[] budgets = Divide([1000, 1000], (Auto(8000), both), (Auto(4000), s_on1));
        Assert.InRange(budgets[0], 1427, 1429);
        Assert.Equal(2000, budgets.Sum());
    }

    [Fact]
    public void A_domain_whose_home_is_not_known_counts_for_all_alike() =>
        Assert.Equal([2000], Divide([1500, 500], (Auto(8000), s_unknown)));

    [Fact]
    public void More_than_all_nodes_have_is_cut_alike()
    {
        long[] budgets = NodePools.Divide(
            [Auto(4000) with { Dram = 3000 }, Auto(4000) with { Dram = 1000 }], [s_on0, s_on1],
            new Dictionary<int, long> { [0] = 1000, [1] = 1000 }, out bool isEnough);
        Assert.False(isEnough);
        Assert.Equal([1500, 500], budgets);
    }

    [Fact]
    public void One_node_is_divided_as_ever()
    {
        BudgetDemand[] demands = [Auto(4000) with { Curve = new DramCurve([(1000, 5), (3000, 1)], 0) }, Auto(2000),
            Auto(9000) with { Dram = 100 }];
        Assert.Equal(PoolDivider.Divide(demands, 3000, out _),
            NodePools.Divide(demands, [s_unknown, s_on0, s_on1], new Dictionary<int, long> { [0] = 3000 }, out _));
    }

    [Fact]
    public void Whatever_is_asked_no_more_is_promised_than_there_is_and_what_is_guaranteed_is_kept()
    {
        Random random = new(14);
        for (int run = 0; run < 2000; run++)
        {
            long[] n = [.. Enumerable.Range(0, 12).Select(_ => random.NextInt64(5000))];
            BudgetDemand[] demands =
            [
                new(n[0], Dram: n[1]), new(n[2], Min: n[3] / 4, Max: n[4]), new(n[5], Shares: 1 + (int)n[6]),
                new(n[7], Curve: new DramCurve([(n[7] / 2, 3), (n[7] / 2, 1)], 0), Previous: n[8] / 2),
            ];
            Dictionary<int, double>[] homes = [s_on0, new() { [0] = 1 + n[9], [1] = 1 + n[10] }, s_unknown, s_on1];
            Dictionary<int, long> pools = new() { [0] = n[11], [1] = n[8], [5] = n[2] / 3 };
            long[] budgets = NodePools.Divide(demands, homes, pools, out bool isEnough);
            Assert.True(budgets.Sum() <= pools.Values.Sum(), $"run {run}: {string.Join(' ', budgets)}");
            Assert.All(budgets.Zip(demands),
                pair => Assert.InRange(pair.First, isEnough ? pair.Second.Guaranteed : 0, pair.Second.Most));
        }
    }

    private static BudgetDemand Auto(long memory) => new(memory);

    private static long[] Divide(long[] pools, params (BudgetDemand Demand, Dictionary<int, double> Home)[] domains)
    {
        long[] budgets = NodePools.Divide(
            [.. domains.Select(d => d.Demand)], [.. domains.Select(d => d.Home)],
            pools.Select((pages, node) => (node, pages)).ToDictionary(), out bool isEnough);
        Assert.True(isEnough);
        return budgets;
    }
}
