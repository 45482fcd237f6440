// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Budgets;

/// <summary>What one domain asks of the pool, and what DRAM would do for it.</summary>
/// <param name="Request">What it asks for.</param>
/// <param name="Curve">What DRAM does for it; null while nothing is known.</param>
/// <param name="PreviousPages">The budget it has now; 0 for one that just started.</param>
public readonly record struct BudgetDemand(BudgetRequest Request, DramCurve? Curve, long PreviousPages);

/// <summary>Divides the host's DRAM pool by what a page more would save each domain.</summary>
public static class AutoBudget
{
    // A domain is left at least this part of what shares alone would give it: enough to show by its accesses that it needs
    // more, so that none starves.
    private const double FairPart = 0.125;

    // A new division replaces the present one only if it serves this part of all accesses more: among equals nothing sloshes.
    private const double LeastGain = 0.005;

    /// <summary>
    /// Fixed budgets and minima first; then the pool goes to the pages of <c>auto</c> domains that are accessed most, an
    /// access counting in proportion to the domain's shares; what no page needs is divided by shares alone. The present
    /// division stays while it is allowed and nearly as good.
    /// </summary>
    /// <param name="demands">One for each domain.</param>
    /// <param name="poolPages">DRAM that all domains may use together, in pages.</param>
    /// <param name="budgets">Receives the budget of each domain in pages; their sum never exceeds the pool.</param>
    /// <returns>False when the pool cannot hold the fixed budgets and minima: each then gets the same fraction of its own.</returns>
    /// <exception cref="ArgumentException"><paramref name="budgets"/> has another length, or a number is out of range.</exception>
    public static bool Divide(ReadOnlySpan<BudgetDemand> demands, long poolPages, Span<long> budgets)
    {
        BudgetRequest[] requests = new BudgetRequest[demands.Length];
        for (int i = 0; i < demands.Length; i++)
            requests[i] = demands[i].Request;
        if (!BudgetPolicy.Divide(requests, poolPages, budgets))
            return false;

        // By shares alone: the fair division, of which a part is every domain's own.
        long[] least = new long[demands.Length];
        for (int i = 0; i < least.Length; i++)
            least[i] = Math.Max(requests[i].LeastPages, requests[i].IsAuto && demands[i].Curve is not null ? (long)(budgets[i] * FairPart) : budgets[i]);

        double low = 0;
        double high = 0;
        foreach (BudgetDemand demand in demands)
            high = Math.Max(high, (demand.Curve?.GreatestRate ?? 0) * demand.Request.Shares);
        for (int halving = 0; halving < 64; halving++)
        {
            double price = (low + high) / 2;
            if (Total(demands, least, price) > poolPages)
                low = price;
            else
                high = price;
        }
        // Just above the price the pool is not used up; just below, there is not enough of it: the pages at the price share.
        long[] most = new long[demands.Length];
        for (int i = 0; i < demands.Length; i++)
        {
            most[i] = AtPrice(demands[i], least[i], low);
            least[i] = AtPrice(demands[i], least[i], high);
        }
        BudgetPolicy.Pour(requests, least, most, poolPages, budgets);
        for (int i = 0; i < demands.Length; i++)
        {
            least[i] = budgets[i];
            most[i] = Math.Max(least[i], requests[i].MostPages);
        }
        BudgetPolicy.Pour(requests, least, most, poolPages, budgets);
        KeepPrevious(demands, poolPages, budgets);
        return true;
    }

    private static long Total(ReadOnlySpan<BudgetDemand> demands, long[] least, double price)
    {
        long total = 0;
        for (int i = 0; i < demands.Length; i++)
            total += AtPrice(demands[i], least[i], price);
        return total;
    }

    private static long AtPrice(BudgetDemand demand, long least, double price)
    {
        if (!demand.Request.IsAuto || demand.Curve is null)
            return least;
        return Math.Clamp(demand.Curve.PagesAbove(price / demand.Request.Shares), least, Math.Max(least, demand.Request.MostPages));
    }

    private static void KeepPrevious(ReadOnlySpan<BudgetDemand> demands, long poolPages, Span<long> budgets)
    {
        long previous = 0;
        long divided = 0;
        double all = 0;
        double gain = 0;
        for (int i = 0; i < demands.Length; i++)
        {
            (BudgetRequest request, DramCurve? curve, long pages) = demands[i];
            previous += request.IsAuto ? pages : budgets[i];
            divided += budgets[i];
            if (!request.IsAuto)
                continue;
            if (curve is null || pages == 0 || pages < request.LeastPages || pages > request.MostPages)
                return;
            all += curve.TotalRate * request.Shares;
            gain += (curve.FastRate(budgets[i]) - curve.FastRate(pages)) * request.Shares;
        }
        if (previous > poolPages || previous < divided || gain > LeastGain * all)
            return;
        for (int i = 0; i < demands.Length; i++)
        {
            if (demands[i].Request.IsAuto)
                budgets[i] = demands[i].PreviousPages;
        }
    }
}
