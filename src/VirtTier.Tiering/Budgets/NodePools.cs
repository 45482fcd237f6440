// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Budgets;

/// <summary>
/// Divides the DRAM of several nodes: each domain is served from where it is at home, so that no node's DRAM is promised twice.
/// What the domains of one node leave over goes to those of the others.
/// </summary>
public static class NodePools
{
    // Shares are whole numbers, and a domain's are divided between its nodes.
    private const int Finer = 1000;

    /// <summary>As <see cref="PoolDivider.Divide"/>, node by node.</summary>
    /// <param name="demands">One for each domain.</param>
    /// <param name="homes">Of each domain, the share (0..1) of it that is at home on each node; empty for one of which that is
    /// not known, which then counts for all nodes alike.</param>
    /// <param name="pools">DRAM of each node that all domains may use together, in pages.</param>
    /// <param name="isEnough">False when all nodes together cannot hold the fixed budgets and minima: each then gets
    /// the same fraction of its own.</param>
    /// <returns>The budget of each domain in pages; their sum never exceeds that of the pools.</returns>
    /// <exception cref="ArgumentException">There are not as many homes as demands.</exception>
    public static long[] Divide(
        IReadOnlyList<BudgetDemand> demands, IReadOnlyList<IReadOnlyDictionary<int, double>> homes,
        IReadOnlyDictionary<int, long> pools, out bool isEnough)
    {
        ArgumentNullException.ThrowIfNull(demands);
        ArgumentNullException.ThrowIfNull(homes);
        ArgumentNullException.ThrowIfNull(pools);
        if (homes.Count != demands.Count)
            throw new ArgumentException($"{homes.Count} homes for {demands.Count} demands: each needs one", nameof(homes));
        long all = pools.Values.Sum();
        long guaranteed = demands.Sum(demand => demand.Guaranteed);
        isEnough = guaranteed <= all;
        if (pools.Count <= 1 || !isEnough)
            return PoolDivider.Divide([.. demands], all, out isEnough);

        (int Domain, int Node, BudgetDemand Demand)[] parts =
            [.. demands.SelectMany((demand, domain) => Parts(domain, demand, homes[domain], pools))];
        Dictionary<int, long> lent = Lend(pools, parts);
        long[] budgets = new long[demands.Count];
        foreach (IGrouping<int, (int Domain, int Node, BudgetDemand Demand)> node in parts.GroupBy(part => part.Node))
        {
            long[] divided = PoolDivider.Divide([.. node.Select(part => part.Demand)], lent[node.Key], out _);
            foreach (((int domain, _, _), long pages) in node.Zip(divided))
                budgets[domain] += pages;
        }
        return budgets.Sum() < all && demands.Where((demand, i) => budgets[i] < demand.Most).Any()
            ? ShareRest(demands, budgets, all)
            : budgets;
    }

    /// <summary>What each node has to divide: one that cannot hold what is fixed borrows of the others.</summary>
    private static Dictionary<int, long> Lend(
        IReadOnlyDictionary<int, long> pools, (int Domain, int Node, BudgetDemand Demand)[] parts)
    {
        Dictionary<int, long> spare = pools.ToDictionary(
            pool => pool.Key,
            pool => pool.Value - parts.Where(part => part.Node == pool.Key).Sum(part => part.Demand.Guaranteed));
        long lacking = -spare.Values.Where(pages => pages < 0).Sum();
        long toLend = spare.Values.Where(pages => pages > 0).Sum();
        Dictionary<int, long> lent = [];
        foreach ((int node, long pages) in spare)
            lent[node] = pages < 0 ? pools[node] - pages : pools[node] - Part(lacking, pages, toLend);
        return lent;
    }

    // Rounded up, so that no more is lent than there is; what is lent of a node is at most its spare.
    private static long Part(long lacking, long pages, long toLend) =>
        toLend == 0 ? 0 : Math.Min(pages, (long)((((Int128)lacking * pages) + toLend - 1) / toLend));

    /// <summary>Gives what is left over to those that can take more, whatever their home.</summary>
    private static long[] ShareRest(IReadOnlyList<BudgetDemand> demands, long[] budgets, long all) => PoolDivider.Divide(
        [.. demands.Select((demand, i) => demand.Dram is null ? demand with { Min = budgets[i] } : demand)], all, out _);

    private static IEnumerable<(int Domain, int Node, BudgetDemand Demand)> Parts(
        int domain, BudgetDemand demand, IReadOnlyDictionary<int, double> home, IReadOnlyDictionary<int, long> pools)
    {
        (int Node, double Share)[] on = [.. home.Where(share => share.Value > 0 && pools.ContainsKey(share.Key))
            .Select(share => (share.Key, share.Value))];
        if (on.Length == 0)
            on = [.. pools.Select(pool => (pool.Key, (double)pool.Value))];
        double whole = on.Sum(part => part.Share);
        BudgetDemand left = demand;
        for (int i = 0; i < on.Length; i++)
        {
            // The last takes what rounding left.
            double share = i == on.Length - 1 ? 1 : on[i].Share / whole;
            whole -= on[i].Share;
            BudgetDemand part = i == on.Length - 1 ? left : Cut(left, share);
            left = Less(left, part);
            double ofAll = on[i].Share / on.Sum(p => p.Share);
            yield return (domain, on[i].Node, part with
            {
                Shares = (int)Math.Max(1, demand.Shares * ofAll * Finer),
                Curve = demand.Curve?.Part(ofAll),
            });
        }
    }

    private static BudgetDemand Cut(BudgetDemand demand, double share) => demand with
    {
        Memory = (long)(demand.Memory * share),
        Dram = (long?)(demand.Dram * share),
        Min = (long)(demand.Min * share),
        Max = (long?)(demand.Max * share),
        Previous = (long)(demand.Previous * share),
    };

    private static BudgetDemand Less(BudgetDemand demand, BudgetDemand part) => demand with
    {
        Memory = demand.Memory - part.Memory,
        Dram = demand.Dram - part.Dram,
        Min = demand.Min - part.Min,
        Max = demand.Max - part.Max,
        Previous = demand.Previous - part.Previous,
    };
}
