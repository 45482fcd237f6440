// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Budgets;

/// <summary>Divides the host's DRAM pool among the domains, by what a page more would serve each.</summary>
public static class PoolDivider
{
    // A domain is left at least this part of what shares alone would give it: enough to show by its accesses that it needs
    // more, so that none starves.
    private const double FairPart = 0.125;

    // A new division replaces the present one only if it serves this part of all accesses more: among equals nothing sloshes.
    private const double LeastGain = 0.005;

    // A double has 53 bits of precision, so more halvings change nothing.
    private const int Halvings = 64;

    /// <summary>
    /// Fixed budgets and minima first; then the pool goes to the pages of <c>auto</c> domains that are accessed most, an
    /// access counting in proportion to the domain's shares; what no page needs is divided by shares alone. The present
    /// division stays while it is allowed and nearly as good.
    /// </summary>
    /// <param name="demands">One for each domain.</param>
    /// <param name="poolPages">DRAM that all domains may use together, in pages.</param>
    /// <param name="isEnough">False when the pool cannot hold the fixed budgets and minima: each then gets
    /// the same fraction of its own.</param>
    /// <returns>The budget of each domain in pages; their sum never exceeds the pool.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The pool is negative, or shares are less than 1.</exception>
    public static long[] Divide(ReadOnlySpan<BudgetDemand> demands, long poolPages, out bool isEnough)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(poolPages);
        foreach (BudgetDemand demand in demands)
        {
            if (demand.Shares < 1)
                throw new ArgumentOutOfRangeException(nameof(demands), demand.Shares, "Shares are 1 or more.");
        }
        long[] guaranteed = Guaranteed(demands);
        isEnough = guaranteed.Sum() <= poolPages;
        if (!isEnough)
            return CutAlike(guaranteed, poolPages);
        long[] byShares = Pour(demands, guaranteed, Most(demands), poolPages);
        long[] byUse = ByUse(demands, guaranteed, byShares, poolPages);
        if (IsPresentGoodEnough(demands, byUse, poolPages))
            KeepPresent(demands, byUse);
        return byUse;
    }

    private static long[] Guaranteed(ReadOnlySpan<BudgetDemand> demands)
    {
        long[] guaranteed = new long[demands.Length];
        for (int i = 0; i < guaranteed.Length; i++)
            guaranteed[i] = demands[i].Guaranteed;
        return guaranteed;
    }

    private static long[] Most(ReadOnlySpan<BudgetDemand> demands)
    {
        long[] most = new long[demands.Length];
        for (int i = 0; i < most.Length; i++)
            most[i] = demands[i].Most;
        return most;
    }

    private static long[] CutAlike(long[] guaranteed, long poolPages)
    {
        long all = guaranteed.Sum();
        return [.. guaranteed.Select(pages => (long)((Int128)pages * poolPages / all))];
    }

    /// <summary>
    /// Pours the pool over the domains above what each has for certain. Water filling: the level (pages a share) rises
    /// until the pool is used; a domain's surface is its least until the level reaches it, and its most once the level
    /// passes it.
    /// </summary>
    private static long[] Pour(ReadOnlySpan<BudgetDemand> demands, long[] least, long[] most, long poolPages)
    {
        double low = 0;
        double high = 0;
        for (int i = 0; i < demands.Length; i++)
            high = Math.Max(high, (double)most[i] / demands[i].Shares);
        for (int halving = 0; halving < Halvings; halving++)
        {
            double level = (low + high) / 2;
            if (AtLevel(demands, least, most, level).Sum() > poolPages)
                high = level;
            else
                low = level;
        }

        long[] budgets = AtLevel(demands, least, most, low);
        long left = poolPages - budgets.Sum();
        // What rounding down left over: less than a page a domain.
        for (int i = 0; i < budgets.Length && left > 0; i++)
        {
            long extra = Math.Min(1, most[i] - budgets[i]);
            budgets[i] += extra;
            left -= extra;
        }
        return budgets;
    }

    private static long[] AtLevel(ReadOnlySpan<BudgetDemand> demands, long[] least, long[] most, double level)
    {
        long[] pages = new long[demands.Length];
        for (int i = 0; i < pages.Length; i++)
            pages[i] = Math.Max(least[i], (long)Math.Min(level * demands[i].Shares, most[i]));
        return pages;
    }

    // The marginal value at which the pool is used up is found by halving; every domain gets the pages that serve more than it.
    private static long[] ByUse(ReadOnlySpan<BudgetDemand> demands, long[] guaranteed, long[] byShares, long poolPages)
    {
        long[] least = new long[demands.Length];
        for (int i = 0; i < least.Length; i++)
            least[i] = Math.Max(guaranteed[i], IsByUse(demands[i]) ? (long)(byShares[i] * FairPart) : byShares[i]);

        double low = 0;
        double high = 0;
        foreach (BudgetDemand demand in demands)
            high = Math.Max(high, (demand.Curve?.GreatestRate ?? 0) * demand.Shares);
        for (int halving = 0; halving < Halvings; halving++)
        {
            double value = (low + high) / 2;
            if (AtValue(demands, least, value).Sum() > poolPages)
                low = value;
            else
                high = value;
        }
        // Just above that value the pool is not used up; just below, there is not enough of it: the
        // pages of that very value share.
        long[] served = Pour(demands, AtValue(demands, least, high), AtValue(demands, least, low), poolPages);
        long[] most = Most(demands);
        for (int i = 0; i < most.Length; i++)
            most[i] = Math.Max(served[i], most[i]);
        return Pour(demands, served, most, poolPages);
    }

    private static bool IsByUse(BudgetDemand demand) => demand.IsAuto && demand.Curve is not null;

    // What each domain would take if a page had to serve so many accesses a second, each counted as often as its shares.
    private static long[] AtValue(ReadOnlySpan<BudgetDemand> demands, long[] least, double value)
    {
        long[] pages = [.. least];
        for (int i = 0; i < pages.Length; i++)
        {
            BudgetDemand demand = demands[i];
            if (demand.IsAuto && demand.Curve is { } curve)
                pages[i] = Math.Clamp(curve.PagesAbove(value / demand.Shares), least[i], Math.Max(least[i], demand.Most));
        }
        return pages;
    }

    private static bool IsPresentGoodEnough(ReadOnlySpan<BudgetDemand> demands, long[] divided, long poolPages)
    {
        long present = 0;
        double all = 0;
        double gain = 0;
        for (int i = 0; i < demands.Length; i++)
        {
            BudgetDemand demand = demands[i];
            long pages = demand.IsAuto ? demand.Previous : divided[i];
            present += pages;
            if (!demand.IsAuto)
                continue;
            if (demand.Curve is not { } curve || pages == 0 || pages < demand.Guaranteed || pages > demand.Most)
                return false;
            all += curve.TotalRate * demand.Shares;
            gain += (curve.FastRate(divided[i]) - curve.FastRate(pages)) * demand.Shares;
        }
        return present <= poolPages && present >= divided.Sum() && gain <= LeastGain * all;
    }

    private static void KeepPresent(ReadOnlySpan<BudgetDemand> demands, long[] budgets)
    {
        for (int i = 0; i < budgets.Length; i++)
        {
            if (demands[i].IsAuto)
                budgets[i] = demands[i].Previous;
        }
    }
}
