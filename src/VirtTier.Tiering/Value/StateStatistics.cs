// SPDX-License-Identifier: Apache-2.0
using System.Runtime.Intrinsics;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Value;

/// <summary>
/// Learns from all pages of the domain, moved or not, how the next round of each <see cref="PageState"/> turns out, and which
/// neighbourhood follows which. Old rounds are slowly forgotten.
/// </summary>
internal sealed class StateStatistics
{
    // A round's weight after ten more is a third: long enough to learn rare states, short enough to unlearn a phase.
    private const float Memory = 0.9f;

    // Belief counts as much as this many pages: that of a page's own state before anything was seen, and, in each
    // neighbourhood, what was seen of the own state in all of them. Small guests live on it for long, so it is few.
    private const float PriorPages = 10;

    // What was seen of the levels of heat next to one counts as so much of what was seen of itself. What idles together comes
    // down from level to level together, and would be met with mere belief on each.
    private const float NearLevels = 0.1f;

    // All pages that an index can number, in every round, and room for what rounding adds.
    private const float MostSeen = int.MaxValue / (1 - Memory) * 1.01f;

    // Of a guest of which no page was yet seen to come back, or not to: a move is certain, a return is not.
    private const float UnseenReturns = 0.1f;

    // The outcomes of a state side by side: one vector.
    private readonly float[] _seen = new float[PageState.Count * PageState.Outcomes];
    // the levels of a recency side by side, for vectors over them
    private readonly float[] _chance = new float[PageState.Count * PageState.Outcomes];
    private readonly float[] _neighboursSeen = new float[Neighbourhood.Classes * PageState.Outcomes * Neighbourhood.Classes];
    private readonly float[] _neighboursChance = new float[Neighbourhood.Classes * PageState.Outcomes * Neighbourhood.Classes];

    private float _returns = UnseenReturns;

    public StateStatistics() => Estimate();

    /// <summary>Whether any round was seen to turn out: before, all is belief.</summary>
    public bool HasLearned { get; private set; }

    /// <summary>The chance of an outcome of the coming round, for each level of a state of level 0.</summary>
    public ReadOnlySpan<float> Chances(int state, int outcome) => _chance.AsSpan(Place(state, outcome), PageState.Levels);

    /// <summary>The chance of an outcome of a state's coming round.</summary>
    public float Chance(int state, int outcome) => _chance[Place(state, outcome)];

    /// <summary>The chance of each neighbourhood after a round of a page in one, with this outcome.</summary>
    public ReadOnlySpan<float> NeighboursAfter(int neighbours, int outcome) =>
        _neighboursChance.AsSpan(((neighbours * PageState.Outcomes) + outcome) * Neighbourhood.Classes, Neighbourhood.Classes);

    /// <summary>Takes in how a round turned out.</summary>
    public void Learn(RoundCensus census)
    {
        Blend(_seen, census.Outcomes);
        Blend(_neighboursSeen, census.Neighbours);
        HasLearned |= census.Outcomes.ContainsAnyExcept(0);
        Estimate();
    }

    public void Write(BinaryWriter writer)
    {
        foreach (float seen in _seen)
            writer.Write(seen);
        foreach (float seen in _neighboursSeen)
            writer.Write(seen);
    }

    public void Read(BinaryReader reader)
    {
        for (int i = 0; i < _seen.Length; i++)
        {
            _seen[i] = ReadSeen(reader);
            HasLearned |= _seen[i] > 0;
        }
        for (int i = 0; i < _neighboursSeen.Length; i++)
            _neighboursSeen[i] = ReadSeen(reader);
        Estimate();
    }

    private static float ReadSeen(BinaryReader reader)
    {
        float seen = reader.ReadSingle();
        HeatFileFormat.Require(seen is >= 0 and <= MostSeen, "number of pages");
        return seen;
    }

    private static int Place(int state, int outcome)
    {
        int level = state % PageState.Levels;
        return ((state - level) * PageState.Outcomes) + (outcome * PageState.Levels) + level;
    }

    private static void Blend(float[] seen, ReadOnlySpan<int> round)
    {
        for (int i = 0; i < seen.Length; i += Vector256<float>.Count)
        {
            Vector256<float> added = Vector256.ConvertToSingle(Vector256.Create(round.Slice(i, Vector256<float>.Count)));
            ((Vector256.Create(seen, i) * Memory) + added).CopyTo(seen, i);
        }
    }

    private void Estimate()
    {
        _returns = Returns();
        for (int own = 0; own < PageState.Own; own++)
        {
            Vector256<float> belief = BelieveOwn(own) * PriorPages;
            for (int neighbours = 0; neighbours < Neighbourhood.Classes; neighbours++)
            {
                int state = (neighbours * PageState.Own) + own;
                Vector256<float> seen = Seen(state);
                Vector256<float> chance = (seen + belief) / (PriorPages + Vector256.Sum(seen));
                for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
                    _chance[Place(state, outcome)] = chance[outcome];
            }
        }
        EstimateNeighbours();
    }

    private Vector256<float> Seen(int state) => Vector256.Create(_seen, state * PageState.Outcomes);

    // The chance of each outcome of a page's own state, whatever its neighbourhood, with what was seen of the next levels.
    private Vector256<float> BelieveOwn(int own)
    {
        int level = own % PageState.Levels;
        Vector256<float> seen = Prior(own) * PriorPages;
        for (int neighbours = 0; neighbours < Neighbourhood.Classes; neighbours++)
        {
            int state = (neighbours * PageState.Own) + own;
            seen += Seen(state);
            // The level of no heat at all is like none.
            if (level > 1)
                seen += Seen(state - 1) * NearLevels;
            if (level is > 0 and < PageState.Levels - 1)
                seen += Seen(state + 1) * NearLevels;
        }
        return seen / Vector256.Sum(seen);
    }

    // Idle pages grow older together into states that none was seen in, so how often they come back
    // is carried over from the younger.
    private Vector256<float> Prior(int own)
    {
        Vector256<float> chance = Vector256.Create(ValuePrior.Chances, own * PageState.Outcomes);
        if (!PageState.IsIdle(own))
            return chance;
        Vector256<float> returning = chance * _returns;
        return returning.WithElement(0, 1 - (_returns * (1 - chance[0])));
    }

    // How often idle pages came back, of what was believed of them; no more, as there is no telling how much more.
    private float Returns()
    {
        float believed = PriorPages, seen = PriorPages * UnseenReturns;
        for (int state = 0; state < PageState.Count; state++)
        {
            int own = state % PageState.Own;
            if (!PageState.IsIdle(own))
                continue;
            float all = Vector256.Sum(Seen(state));
            believed += all * (1 - ValuePrior.Chances[own * PageState.Outcomes]);
            seen += all - _seen[state * PageState.Outcomes];
        }
        return Math.Min(1, seen / believed);
    }

    // Before anything was seen, a neighbourhood is believed to stay as it is.
    private void EstimateNeighbours()
    {
        for (int first = 0; first < _neighboursSeen.Length; first += Neighbourhood.Classes)
        {
            int same = first + (first / (PageState.Outcomes * Neighbourhood.Classes));
            double pages = PriorPages + Sum(_neighboursSeen.AsSpan(first, Neighbourhood.Classes));
            for (int i = first; i < first + Neighbourhood.Classes; i++)
                _neighboursChance[i] = (float)((_neighboursSeen[i] + (i == same ? PriorPages : 0)) / pages);
        }
    }

    private static double Sum(ReadOnlySpan<float> numbers)
    {
        double sum = 0;
        foreach (float number in numbers)
            sum += number;
        return sum;
    }
}
