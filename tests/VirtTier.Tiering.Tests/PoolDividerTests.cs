// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Budgets;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

public sealed class PoolDividerTests
{
    private const long Memory = 100_000;
    private const long GiBPages = (1L << 30) / 4096;

    private static DramCurve Curve(params (long Pages, double Rate)[] groups) => new(groups, error: 0);

    private static BudgetDemand Auto(DramCurve? curve, long previous = 0, int shares = 100, long min = 0, long? max = null) =>
        new(Memory, null, min, max, shares, curve, previous);

    private static long[] Divide(long pool, params BudgetDemand[] demands)
    {
        long[] budgets = PoolDivider.Divide(demands, pool, out bool isEnough);
        Assert.True(isEnough);
        Assert.True(budgets.Sum() <= pool);
        return budgets;
    }

    [Fact]
    public void Fixed_budgets_are_given_as_asked()
    {
        long[] budgets = Divide(
            10 * GiBPages,
            new BudgetDemand(4 * GiBPages, GiBPages),
            new BudgetDemand(2 * GiBPages, 100 * GiBPages));
        Assert.Equal([GiBPages, 2 * GiBPages], budgets);
    }

    [Fact]
    public void Auto_divides_what_is_left_by_shares()
    {
        long[] budgets = Divide(
            7 * GiBPages,
            new BudgetDemand(8 * GiBPages, GiBPages),
            new BudgetDemand(8 * GiBPages, Shares: 200),
            new BudgetDemand(8 * GiBPages, Shares: 100));
        Assert.Equal([GiBPages, 4 * GiBPages, 2 * GiBPages], budgets);
    }

    [Fact]
    public void What_one_domain_cannot_use_goes_to_the_others()
    {
        long[] budgets = Divide(
            6 * GiBPages,
            new BudgetDemand(GiBPages),
            new BudgetDemand(8 * GiBPages, Max: 2 * GiBPages),
            new BudgetDemand(8 * GiBPages));
        Assert.Equal([GiBPages, 2 * GiBPages, 3 * GiBPages], budgets);
    }

    [Fact]
    public void Minimum_is_kept_and_the_others_share_the_rest()
    {
        long[] budgets = Divide(
            4 * GiBPages,
            new BudgetDemand(8 * GiBPages, Min: 2 * GiBPages, Shares: 1),
            new BudgetDemand(8 * GiBPages, Shares: 1000),
            new BudgetDemand(8 * GiBPages, Shares: 1000));
        Assert.Equal([2 * GiBPages, GiBPages, GiBPages], budgets);
    }

    [Fact]
    public void Pool_larger_than_all_memory_gives_each_all_of_its_own() =>
        Assert.Equal([GiBPages, 2 * GiBPages],
            Divide(100 * GiBPages, new BudgetDemand(GiBPages), new BudgetDemand(2 * GiBPages)));

    [Fact]
    public void Not_a_page_of_the_pool_is_lost_to_rounding()
    {
        BudgetDemand[] requests = [.. Enumerable.Range(1, 97).Select(i => new BudgetDemand(GiBPages, Shares: i))];
        Assert.Equal(1_000_003, Divide(1_000_003, requests).Sum());
    }

    [Fact]
    public void Claims_beyond_the_pool_are_cut_alike_and_said_so()
    {
        BudgetDemand[] requests =
        [
            new(8 * GiBPages, 6 * GiBPages),
            new(8 * GiBPages, Min: 2 * GiBPages),
        ];
        Assert.Equal([3 * GiBPages, GiBPages], PoolDivider.Divide(requests, 4 * GiBPages, out bool isEnough));
        Assert.False(isEnough);
    }

    [Fact]
    public void Bad_numbers_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => PoolDivider.Divide([new BudgetDemand(1, Shares: 0)], 1, out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => PoolDivider.Divide([], -1, out _));
    }

    [Fact]
    public void Pool_goes_where_it_serves_most_accesses()
    {
        long[] budgets = Divide(
            30_000,
            Auto(Curve((20_000, 10), (80_000, 0.01))),
            Auto(Curve((5_000, 5), (95_000, 0.01))),
            Auto(Curve((100_000, 0.02))));
        Assert.InRange(budgets[0], 20_000, 25_000);
        Assert.InRange(budgets[1], 5_000, 10_000);
        Assert.Equal(30_000, budgets.Sum());
    }

    [Fact]
    public void Idle_domain_keeps_a_part_of_its_fair_share()
    {
        long[] budgets = Divide(20_000, Auto(Curve((100_000, 10))), Auto(Curve((100_000, 0))));
        Assert.Equal(10_000 / 8, budgets[1]);
        Assert.Equal(20_000 - (10_000 / 8), budgets[0]);
    }

    [Fact]
    public void Minimum_maximum_and_shares_hold()
    {
        long[] budgets = Divide(
            30_000,
            Auto(Curve((50_000, 10)), max: 10_000),
            Auto(Curve((100_000, 0)), min: 7_000),
            Auto(Curve((100_000, 1)), shares: 300),
            Auto(Curve((100_000, 2)), shares: 100));
        Assert.Equal(10_000, budgets[0]);
        Assert.Equal(7_000, budgets[1]);
        Assert.True(budgets[2] > budgets[3], "three times the shares outweigh half the accesses");
        Assert.Equal(30_000, budgets.Sum());
    }

    [Fact]
    public void Fixed_budgets_come_first_and_unknown_domains_get_their_shares()
    {
        BudgetDemand fixedDemand = new(Memory, 20_000, Curve: Curve((10, 1)));
        long[] budgets = Divide(40_000, fixedDemand, Auto(null), Auto(Curve((100_000, 5))));
        Assert.Equal([20_000, 10_000, 10_000], budgets);
    }

    [Fact]
    public void Equals_do_not_slosh_but_a_change_of_phase_is_followed()
    {
        BudgetDemand[] demands = [Auto(Curve((50_000, 1.00)), 10_000), Auto(Curve((50_000, 1.001)), 10_000)];
        Assert.Equal([10_000, 10_000], Divide(20_000, demands));
        demands[1] = Auto(Curve((50_000, 3)), 10_000);
        Assert.True(Divide(20_000, demands)[1] > 15_000);
    }

    [Fact]
    public void Division_of_another_pool_is_not_kept()
    {
        // More DRAM would serve nothing more, but it is there.
        BudgetDemand[] demands = [Auto(Curve((8_000, 1), (92_000, 0)), 10_000), Auto(Curve((8_000, 1), (92_000, 0)), 10_000)];
        Assert.Equal(30_000, Divide(30_000, demands).Sum());
        Assert.Equal(16_000, Divide(16_000, demands).Sum());
    }

    [Fact]
    public void Fixed_budget_beside_them_lets_equals_be()
    {
        BudgetDemand fixedDemand = new(Memory, 20_000);
        BudgetDemand[] demands = [fixedDemand, Auto(Curve((50_000, 1.00)), 10_000), Auto(Curve((50_000, 1.001)), 10_000)];
        Assert.Equal([20_000, 10_000, 10_000], Divide(40_000, demands));
    }

    [Fact]
    public void Over_committed_pool_is_said_so()
    {
        BudgetDemand[] demands = [Auto(null, min: 60_000), Auto(null, min: 60_000)];
        Assert.Equal([30_000, 30_000], PoolDivider.Divide(demands, 60_000, out bool isEnough));
        Assert.False(isEnough);
    }

    [Fact]
    public void Curve_of_a_guest_falls_to_nothing_where_its_hot_set_ends()
    {
        ModelGuest guest = new(8192);
        guest.Touch(..);
        guest.Run(12, budget: 2048, () => guest.Touch(1000..3000));
        Assert.Null(new PlacementPlanner(8192).Curve(TimeSpan.FromSeconds(2)));
        DramCurve curve = guest.Planner.Curve(TimeSpan.FromSeconds(2))!;
        Assert.Equal(8192, curve.Pages);
        Assert.Equal(0.5, curve.SlowShare(1000), 0.03);
        Assert.Equal(0.0, curve.SlowShare(2000), 0.03);
        Assert.True(curve.Error < 0.03, $"error {curve.Error}");
        Assert.Equal((8192, 0), (curve.Corners().Last().Pages, (int)Math.Round(curve.Corners().Last().SlowShare * 1000)));
    }
}
