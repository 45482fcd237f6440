// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.Value;

/// <summary>
/// What is believed of the next round of a page's own state before any was seen: what is accessed goes on partly as in the last
/// round, partly as in the long run; what idles comes back the less likely the longer it idled.
/// </summary>
/// <remarks>The numbers were fitted to the rounds of recorded programs (compilers, interpreters, databases, sorting, packing),
/// each with the same weight.</remarks>
internal static class ValuePrior
{
    // Quarters of a round that find a page accessed belong together: a page is in use in most of them or in none.
    // This is the correlation of any two.
    private const double Correlation = 0.35;

    // What is in use at the end of a round goes on more often than what is not, by so much of a round.
    private const double LastQuarter = 0.05;

    private const int Quarters = PageState.Quarters;

    /// <summary>The chance of each outcome, state by state.</summary>
    public static float[] Chances { get; } = Build();

    private static float[] Build()
    {
        float[] chances = new float[PageState.Own * PageState.Outcomes];
        for (int recency = 0; recency < PageState.Recencies; recency++)
        {
            for (int level = 0; level < PageState.Levels; level++)
            {
                double mean = Belief(recency, PageState.RelativeHeat(level));
                int first = PageState.Combine(recency, level) * PageState.Outcomes;
                for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
                    chances[first + outcome] = (float)(BetaBinomial(PageState.QuartersOf(outcome), mean) * ShareOf(outcome));
            }
        }
        return chances;
    }

    // The chance that a quarter of the coming round finds the page accessed.
    private static double Belief(int recency, double heat)
    {
        if (recency == PageState.NeverAccessed)
            return 0.001;
        if (recency < PageState.Outcomes)
        {
            double last = PageState.InLastQuarter(recency) ? LastQuarter : -LastQuarter;
            return Math.Clamp((0.6 * PageState.QuartersOf(recency) / Quarters) + (0.45 * heat) - 0.03 + last, 0.02, 0.95);
        }
        return (0.04 + (0.42 * heat)) / Math.Pow(PageState.IdleRounds(recency), 0.75);
    }

    // How often an outcome is what so many quarters come to: the last is as likely as any to be among them.
    private static double ShareOf(int outcome)
    {
        double last = (double)PageState.QuartersOf(outcome) / Quarters;
        return last is 0 or 1 ? 1 : PageState.InLastQuarter(outcome) ? last : 1 - last;
    }

    // The chance of so many quarters, where a page's own chance is drawn from a beta distribution.
    private static double BetaBinomial(int quarters, double mean)
    {
        const double spread = (1 / Correlation) - 1;
        double chance = quarters switch { 0 or Quarters => 1, 2 => 6, _ => Quarters };
        for (int i = 0; i < quarters; i++)
            chance *= (mean * spread) + i;
        for (int i = 0; i < Quarters - quarters; i++)
            chance *= ((1 - mean) * spread) + i;
        for (int i = 0; i < Quarters; i++)
            chance /= spread + i;
        return chance;
    }
}
