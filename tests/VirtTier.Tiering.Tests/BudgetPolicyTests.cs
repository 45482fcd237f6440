// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Budgets;

namespace VirtTier.Tiering.Tests;

public sealed class BudgetPolicyTests
{
    private const long GiB = 1L << 30;
    private const long GiBPages = GiB / 4096;

    private static long[] Divide(long poolPages, params BudgetRequest[] requests)
    {
        long[] budgets = new long[requests.Length];
        Assert.True(BudgetPolicy.Divide(requests, poolPages, budgets));
        Assert.True(budgets.Sum() <= poolPages);
        return budgets;
    }

    [Fact]
    public void Fixed_budgets_are_given_as_asked()
    {
        long[] budgets = Divide(
            10 * GiBPages,
            new BudgetRequest(4 * GiBPages, MemoryAmount.FromBytes(GiB)),
            new BudgetRequest(4 * GiBPages, MemoryAmount.FromPercent(25)),
            new BudgetRequest(2 * GiBPages, MemoryAmount.FromBytes(100 * GiB)));
        Assert.Equal([GiBPages, GiBPages, 2 * GiBPages], budgets);
    }

    [Fact]
    public void Auto_divides_what_is_left_by_shares()
    {
        long[] budgets = Divide(
            7 * GiBPages,
            new BudgetRequest(8 * GiBPages, MemoryAmount.FromBytes(GiB)),
            new BudgetRequest(8 * GiBPages, Shares: 200),
            new BudgetRequest(8 * GiBPages, Shares: 100));
        Assert.Equal([GiBPages, 4 * GiBPages, 2 * GiBPages], budgets);
    }

    [Fact]
    public void What_one_domain_cannot_use_goes_to_the_others()
    {
        long[] budgets = Divide(
            6 * GiBPages,
            new BudgetRequest(GiBPages),
            new BudgetRequest(8 * GiBPages, Max: MemoryAmount.FromBytes(2 * GiB)),
            new BudgetRequest(8 * GiBPages));
        Assert.Equal([GiBPages, 2 * GiBPages, 3 * GiBPages], budgets);
    }

    [Fact]
    public void Minimum_is_kept_and_the_others_share_the_rest()
    {
        long[] budgets = Divide(
            4 * GiBPages,
            new BudgetRequest(8 * GiBPages, Min: MemoryAmount.FromPercent(25), Shares: 1),
            new BudgetRequest(8 * GiBPages, Shares: 1000),
            new BudgetRequest(8 * GiBPages, Shares: 1000));
        Assert.Equal([2 * GiBPages, GiBPages, GiBPages], budgets);
    }

    [Fact]
    public void Pool_larger_than_all_memory_gives_each_all_of_its_own() =>
        Assert.Equal([GiBPages, 2 * GiBPages], Divide(100 * GiBPages, new BudgetRequest(GiBPages), new BudgetRequest(2 * GiBPages)));

    [Fact]
    public void Not_a_page_of_the_pool_is_lost_to_rounding()
    {
        BudgetRequest[] requests = [.. Enumerable.Range(1, 97).Select(i => new BudgetRequest(GiBPages, Shares: i))];
        Assert.Equal(1_000_003, Divide(1_000_003, requests).Sum());
    }

    [Fact]
    public void Claims_beyond_the_pool_are_cut_alike_and_said_so()
    {
        BudgetRequest[] requests =
        [
            new(8 * GiBPages, MemoryAmount.FromBytes(6 * GiB)),
            new(8 * GiBPages, Min: MemoryAmount.FromBytes(2 * GiB)),
        ];
        long[] budgets = new long[2];
        Assert.False(BudgetPolicy.Divide(requests, 4 * GiBPages, budgets));
        Assert.Equal([3 * GiBPages, GiBPages], budgets);
    }

    [Fact]
    public void Bad_numbers_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => MemoryAmount.FromPercent(101));
        Assert.Throws<ArgumentOutOfRangeException>(() => MemoryAmount.FromPercent(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => MemoryAmount.FromBytes(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => BudgetPolicy.Divide([new(1, Shares: 0)], 1, new long[1]));
        Assert.Throws<ArgumentException>(() => BudgetPolicy.Divide([new(1)], 1, new long[2]));
    }
}
