// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering;

/// <summary>
/// What is believed of the next round of a page's own state before any was seen: what is accessed goes on half as it did in the last round,
/// half as in the long run; what idles comes back the less likely the longer it idled.
/// </summary>
internal static class ValuePrior
{
    /// <summary>The chance of each outcome, state by state.</summary>
    public static double[] Chances { get; } = Build();

    private static double[] Build()
    {
        double[] chances = new double[PageState.Own * PageState.Outcomes];
        for (int recency = 0; recency < PageState.Recencies; recency++)
        {
            for (int level = 0; level < PageState.Levels; level++)
            {
                (double alive, double accessed) = Belief(recency, PageState.RelativeHeat(level));
                int first = PageState.Combine(recency, level) * PageState.Outcomes;
                for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
                    chances[first + outcome] = alive * Binomial(outcome, accessed);
                chances[first] += 1 - alive;
            }
        }
        return chances;
    }

    // The chance that the page is still in use, and, if it is, that one quarter of a round finds it accessed.
    private static (double Alive, double Accessed) Belief(int recency, double heat)
    {
        const int quarters = 4;
        if (recency == PageState.NeverAccessed)
            return (0.01, 1.0 / quarters);
        if (recency <= quarters)
        {
            double usual = ((double)recency / quarters / 2) + (heat / 2);
            return (0.3 + (0.65 * usual), usual);
        }
        int idleClass = recency - quarters;
        return (Math.Min(1, 1.2 * heat) / (idleClass + 1), Math.Max(0.1, heat));
    }

    private static double Binomial(int of4, double chance)
    {
        int ways = of4 switch { 0 or 4 => 1, 2 => 6, _ => 4 };
        return ways * Math.Pow(chance, of4) * Math.Pow(1 - chance, 4 - of4);
    }
}
