// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

public sealed class ValueSweepTests
{
    [Theory]
    [InlineData(0, 1)]
    [InlineData(2.5, 0.5)]
    public void A_step_is_the_expectation_over_outcomes_levels_and_neighbourhoods(float marginalValue, float cost)
    {
        const float discount = 0.9f;
        Random random = new(1);
        StateStatistics statistics = Learned(random);
        float[] value = [.. Enumerable.Range(0, PageState.Count).Select(_ => (random.NextSingle() * 4) - 2)];
        float[] rate = [.. Enumerable.Range(0, PageState.Count).Select(_ => random.NextSingle() * 10)];
        float[] before = [.. value];
        new ValueSweep(statistics, discount).Run(value, rate, marginalValue, cost);

        for (int state = 0; state < PageState.Count; state++)
        {
            double expected = rate[state] - marginalValue;
            for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
                expected += statistics.Chance(state, outcome) * After(state, outcome);
            Assert.Equal(expected, value[state], 1e-4);
        }

        double After(int state, int outcome)
        {
            int recency = state % PageState.Own / PageState.Levels;
            (int next, double chance) = outcome > 0 ? (outcome, 1) : PageState.AfterIdle(recency);
            double[] levels = PageState.LevelsAfter(state % PageState.Levels, outcome);
            double sum = 0;
            for (int level = 0; level < PageState.Levels; level++)
            {
                sum += levels[level] * chance * Mean(state, outcome, PageState.Combine(next, level));
                sum += levels[level] * (1 - chance) * Mean(state, outcome, PageState.Combine(recency, level));
            }
            return sum;
        }

        double Mean(int state, int outcome, int own)
        {
            ReadOnlySpan<float> chance = statistics.NeighboursAfter(state / PageState.Own, outcome);
            double sum = 0;
            for (int neighbours = 0; neighbours < chance.Length; neighbours++)
                sum += chance[neighbours] * Math.Clamp(discount * before[(neighbours * PageState.Own) + own], -cost, cost);
            return sum;
        }
    }

    [Fact]
    public void Chances_of_a_state_are_the_same_one_by_one_and_by_levels_and_add_up()
    {
        StateStatistics statistics = Learned(new Random(2));
        for (int state = 0; state < PageState.Count; state++)
        {
            double sum = 0;
            for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
            {
                int level = state % PageState.Levels;
                Assert.Equal(statistics.Chance(state, outcome), statistics.Chances(state - level, outcome)[level]);
                sum += statistics.Chance(state, outcome);
            }
            Assert.Equal(1, sum, 1e-5);
        }
    }

    [Fact]
    public void States_with_pages_are_put_in_order_of_their_keys()
    {
        long[] fast = [1, 0, 0, 3, 0];
        long[] slow = [0, 2, 0, 1, 7];
        Assert.Equal([4, 0, 3, 1], new StateOrder().Sort(fast, slow, [2, 9, 0, 3, -1]));
    }

    // As if it had seen anything at all.
    private static StateStatistics Learned(Random random)
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        int numbers =
            (PageState.Count * PageState.Outcomes) + (Neighbourhood.Classes * PageState.Outcomes * Neighbourhood.Classes);
        for (int i = 0; i < numbers; i++)
            writer.Write(random.NextSingle() * 100);
        stream.Position = 0;
        StateStatistics statistics = new();
        using BinaryReader reader = new(stream);
        statistics.Read(reader);
        return statistics;
    }
}
