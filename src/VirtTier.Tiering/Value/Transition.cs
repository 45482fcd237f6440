// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.Value;

/// <summary>With this outcome of its round, a page is in that state of its own next, with this chance.</summary>
/// <param name="Outcome">Quarters of the round's harvests that found the page accessed.</param>
/// <param name="State">The next state.</param>
/// <param name="Chance">Its chance, given the outcome: states lump bytes together, so it is not always certain.</param>
internal readonly record struct Transition(int Outcome, int State, double Chance)
{
    /// <summary>What may follow each state of a page by itself.</summary>
    public static Transition[][] After { get; } = Build();

    private static Transition[][] Build()
    {
        Transition[][] after = new Transition[PageState.Own][];
        for (int state = 0; state < PageState.Own; state++)
        {
            int recency = state / PageState.Levels;
            List<Transition> transitions = [];
            for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
            {
                (int next, double chance) = outcome > 0 ? (outcome, 1) : PageState.AfterIdle(recency);
                double[] levels = PageState.LevelsAfter(state % PageState.Levels, outcome);
                for (int level = 0; level < PageState.Levels; level++)
                {
                    if (levels[level] == 0)
                        continue;
                    transitions.Add(new Transition(outcome, PageState.Combine(next, level), levels[level] * chance));
                    if (chance < 1)
                        transitions.Add(new Transition(outcome, PageState.Combine(recency, level), levels[level] * (1 - chance)));
                }
            }
            after[state] = [.. transitions];
        }
        return after;
    }
}
