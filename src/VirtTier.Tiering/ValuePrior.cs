// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering;

/// <summary>
/// What is believed of the next round of a page's own state before any was seen: what is accessed goes on partly as in the last round,
/// partly as in the long run; what idles comes back the less likely the longer it idled.
/// </summary>
/// <remarks>The numbers were fitted to the rounds of recorded programs (compilers, interpreters, databases, sorting, packing), each with the same weight.</remarks>
internal static class ValuePrior
{
    // Quarters of a round that find a page accessed belong together: a page is in use in most of them or in none. This is the correlation of any two.
    private const double Correlation = 0.35;

    private const int Quarters = PageState.Outcomes - 1;

    /// <summary>The chance of each outcome, state by state.</summary>
    public static double[] Chances { get; } = Build();

    private static double[] Build()
    {
        double[] chances = new double[PageState.Own * PageState.Outcomes];
        for (int recency = 0; recency < PageState.Recencies; recency++)
        {
            for (int level = 0; level < PageState.Levels; level++)
            {
                double mean = Belief(recency, PageState.RelativeHeat(level));
                int first = PageState.Combine(recency, level) * PageState.Outcomes;
                for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
                    chances[first + outcome] = BetaBinomial(outcome, mean);
            }
        }
        return chances;
    }

    // The chance that a quarter of the coming round finds the page accessed.
    private static double Belief(int recency, double heat)
    {
        if (recency == PageState.NeverAccessed)
            return 0.005;
        if (recency <= Quarters)
            return Math.Min(0.95, (0.6 * recency / Quarters) + (0.45 * heat) - 0.03);
        return (0.04 + (0.42 * heat)) / Math.Pow(PageState.IdleRounds(recency), 0.75);
    }

    // The chance of so many quarters, where a page's own chance is drawn from a beta distribution.
    private static double BetaBinomial(int outcome, double mean)
    {
        const double spread = (1 / Correlation) - 1;
        double chance = outcome switch { 0 or Quarters => 1, 2 => 6, _ => Quarters };
        for (int i = 0; i < outcome; i++)
            chance *= (mean * spread) + i;
        for (int i = 0; i < Quarters - outcome; i++)
            chance *= ((1 - mean) * spread) + i;
        for (int i = 0; i < Quarters; i++)
            chance /= spread + i;
        return chance;
    }
}
