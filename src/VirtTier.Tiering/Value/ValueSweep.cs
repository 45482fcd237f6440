// SPDX-License-Identifier: Apache-2.0
using System.Runtime.Intrinsics;
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.Value;

/// <summary>One step of value iteration over all states, in vectors over the levels of heat.</summary>
/// <remarks>
/// What follows an access depends on outcome and level alone, what follows an idle round on the page's own state alone. So for
/// each neighbourhood these few rows of later values are worked out once, and each state is left with a product of as many
/// numbers as there are outcomes.
/// </remarks>
/// <param name="statistics">How rounds turn out.</param>
/// <param name="discount">What a value is worth a round earlier.</param>
internal sealed class ValueSweep(StateStatistics statistics, float discount)
{
    private const int Levels = PageState.Levels;
    private const int Half = Levels / 2;
    private const int FirstIdle = PageState.Outcomes;

    // By outcome, level that follows, and level: the chance.
    private static readonly float[] s_levelsAfter = LevelsAfter();

    private readonly float[] _clamped = new float[PageState.Count];
    private readonly float[] _afterOutcome = new float[PageState.Outcomes * Levels];
    private readonly float[] _afterIdle = new float[PageState.Recencies * Levels];

    /// <summary>Replaces values by those of one round earlier.</summary>
    /// <param name="value">By state.</param>
    /// <param name="rate">Accesses expected in the round, by state.</param>
    /// <param name="marginalValue">What a page of DRAM costs for the round.</param>
    /// <param name="cost">What a move costs: later, no value is beyond it.</param>
    public void Run(Span<float> value, ReadOnlySpan<float> rate, float marginalValue, float cost)
    {
        Clamp(value, cost);
        for (int neighbours = 0; neighbours < Neighbourhood.Classes; neighbours++)
        {
            for (int outcome = 1; outcome < PageState.Outcomes; outcome++)
                Follow(neighbours, outcome, recency: outcome, _afterOutcome.AsSpan(outcome * Levels, Levels));
            for (int recency = FirstIdle; recency < PageState.Recencies; recency++)
                Follow(neighbours, outcome: 0, recency, _afterIdle.AsSpan(recency * Levels, Levels));
            for (int recency = 0; recency < PageState.Recencies; recency++)
            {
                int first = (neighbours * PageState.Own) + PageState.Combine(recency, 0);
                for (int level = 0; level < Levels; level += Half)
                    Expect(first, recency, level, rate, marginalValue).CopyTo(value[(first + level)..]);
            }
        }
    }

    private static Vector256<float> Load(ReadOnlySpan<float> numbers, int at) => Vector256.Create(numbers.Slice(at, Half));

    private void Clamp(ReadOnlySpan<float> value, float cost)
    {
        Vector256<float> most = Vector256.Create(cost);
        for (int state = 0; state < value.Length; state += Half)
            Vector256.Clamp(Load(value, state) * discount, -most, most).CopyTo(_clamped, state);
    }

    // What each level is worth after a round with this outcome, with which a page comes to this recency.
    private void Follow(int neighbours, int outcome, int recency, Span<float> after)
    {
        ReadOnlySpan<float> chance = statistics.NeighboursAfter(neighbours, outcome);
        Span<float> next = stackalloc float[Levels];
        for (int level = 0; level < Levels; level += Half)
        {
            Vector256<float> sum = Vector256<float>.Zero;
            for (int other = 0; other < chance.Length; other++)
                sum += Load(_clamped, (other * PageState.Own) + PageState.Combine(recency, level)) * chance[other];
            sum.CopyTo(next[level..]);
        }
        Vector256<float> low = Vector256<float>.Zero;
        Vector256<float> high = low;
        for (int level = 0; level < Levels; level++)
        {
            int row = ((outcome * Levels) + level) * Levels;
            low += Load(s_levelsAfter, row) * next[level];
            high += Load(s_levelsAfter, row + Half) * next[level];
        }
        low.CopyTo(after);
        high.CopyTo(after[Half..]);
    }

    private Vector256<float> Expect(int first, int recency, int level, ReadOnlySpan<float> rate, float marginalValue)
    {
        (int next, double chance) = PageState.AfterIdle(recency);
        Vector256<float> idle = Load(_afterIdle, (next * Levels) + level);
        if (chance < 1)
            idle = (idle * (float)chance) + (Load(_afterIdle, (recency * Levels) + level) * (float)(1 - chance));
        Vector256<float> sum =
            Load(rate, first + level) - Vector256.Create(marginalValue) + (Load(statistics.Chances(first, 0), level) * idle);
        for (int outcome = 1; outcome < PageState.Outcomes; outcome++)
            sum += Load(statistics.Chances(first, outcome), level) * Load(_afterOutcome, (outcome * Levels) + level);
        return sum;
    }

    private static float[] LevelsAfter()
    {
        float[] chances = new float[PageState.Outcomes * Levels * Levels];
        for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
        {
            for (int level = 0; level < Levels; level++)
            {
                double[] after = PageState.LevelsAfter(level, outcome);
                for (int next = 0; next < Levels; next++)
                    chances[(((outcome * Levels) + next) * Levels) + level] = (float)after[next];
            }
        }
        return chances;
    }
}
