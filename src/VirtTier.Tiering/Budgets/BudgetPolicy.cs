// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Budgets;

/// <summary>Divides the host's DRAM pool by shares alone: where <see cref="AutoBudget"/> begins.</summary>
internal static class BudgetPolicy
{
    /// <summary>
    /// Gives fixed budgets and the minima of <c>auto</c> domains first, then pours what is left over the <c>auto</c>
    /// domains in proportion to their shares, each up to its maximum, until the pool or the room is used up.
    /// </summary>
    /// <param name="requests">One for each domain.</param>
    /// <param name="poolPages">DRAM that all domains may use together, in pages.</param>
    /// <param name="budgets">Receives the budget of each domain in pages; their sum never exceeds the pool.</param>
    /// <returns>
    /// False when the pool cannot hold the fixed budgets and minima: each then gets the same fraction of its own.
    /// </returns>
    /// <exception cref="ArgumentException"><paramref name="budgets"/> has another length, or a number is out of range.</exception>
    public static bool Divide(ReadOnlySpan<BudgetRequest> requests, long poolPages, Span<long> budgets)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(poolPages);
        if (budgets.Length != requests.Length)
            throw new ArgumentException($"budgets has {budgets.Length} elements for {requests.Length} requests.", nameof(budgets));

        long least = 0;
        for (int i = 0; i < requests.Length; i++)
        {
            if (requests[i].Shares < 1)
                throw new ArgumentOutOfRangeException(nameof(requests), requests[i].Shares, "Shares are 1 or more.");
            least += budgets[i] = requests[i].LeastPages;
        }
        if (least > poolPages)
        {
            for (int i = 0; i < budgets.Length; i++)
                budgets[i] = (long)((Int128)budgets[i] * poolPages / least);
            return false;
        }
        long[] most = new long[requests.Length];
        for (int i = 0; i < most.Length; i++)
            most[i] = requests[i].MostPages;
        Pour(requests, budgets.ToArray(), most, poolPages, budgets);
        return true;
    }

    /// <summary>
    /// Pours the pool over the domains above what each has for certain. Water filling: the level (pages a share) rises
    /// until the pool is used; a domain's surface is its least until the level reaches it, and its most once the level
    /// passes it.
    /// </summary>
    internal static void Pour(
        ReadOnlySpan<BudgetRequest> requests, ReadOnlySpan<long> least, ReadOnlySpan<long> most, long poolPages, Span<long> budgets)
    {
        double low = 0;
        double high = 0;
        for (int i = 0; i < requests.Length; i++)
            high = Math.Max(high, (double)most[i] / requests[i].Shares);
        // A double has 53 bits of precision, so more halvings change nothing.
        for (int halving = 0; halving < 64; halving++)
        {
            double level = (low + high) / 2;
            if (Total(requests, least, most, level) > poolPages)
                high = level;
            else
                low = level;
        }

        long left = poolPages;
        for (int i = 0; i < requests.Length; i++)
            left -= budgets[i] = AtLevel(requests[i].Shares, least[i], most[i], low);
        // What rounding down left over: less than a page a domain.
        for (int i = 0; i < requests.Length && left > 0; i++)
        {
            long extra = Math.Min(Math.Min(left, 1), most[i] - budgets[i]);
            budgets[i] += extra;
            left -= extra;
        }
    }

    private static long Total(
        ReadOnlySpan<BudgetRequest> requests, ReadOnlySpan<long> least, ReadOnlySpan<long> most, double level)
    {
        long total = 0;
        for (int i = 0; i < requests.Length; i++)
            total += AtLevel(requests[i].Shares, least[i], most[i], level);
        return total;
    }

    private static long AtLevel(int shares, long least, long most, double level) =>
        Math.Clamp((long)(level * shares), least, most);
}
