// SPDX-License-Identifier: Apache-2.0
using System.Runtime.Intrinsics;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Value;

/// <summary>What a page in each <see cref="PageState"/> is worth in the fast tier, from <see cref="StateStatistics"/>.</summary>
/// <remarks>
/// How the next round of each state turns out is learned; which state follows is known. Over this Markov chain the value
/// solves <c>V(s) = E[accesses | s] - m + E[clamp(d V(next), -cost, +cost)]</c>: being fast rather than slow gains the
/// accesses of the coming round less the marginal value m of a DRAM page, and after it either goes on or is undone by one move,
/// whichever is better. That is what the page would earn with the last one that finds room. This is the Lagrangian
/// relaxation of a restless bandit with switching costs (Whittle, 1988), so hysteresis need not be set: it follows from the
/// cost.
/// </remarks>
internal sealed class ValueModel
{
    // What a move earns comes over many rounds where pages are accessed less than once a round, but habits do not last for ever.
    private const float Discount = 0.97f;

    // Values start from the last round's, so that a few sweeps bring them to their end; the first time needs more.
    private const int SweepsAtFirst = 24;
    private const int Sweeps = 8;

    private readonly StateStatistics _statistics = new();
    private readonly AccessScale _scale = new();
    private readonly ValueSweep _sweep;
    private readonly float[] _rate;
    private readonly float[] _value;
    private readonly float[] _spareValue;
    private readonly StateOrder _byRate = new();
    private readonly bool[] _solved;
    private double _firstAccesses = 1;

    /// <param name="weights">Classes of <see cref="AccessWeight"/> that occur.</param>
    public ValueModel(int weights)
    {
        int states = PageState.Weighted(0, weights);
        _sweep = new ValueSweep(_statistics, Discount);
        _rate = new float[states];
        _value = new float[states];
        _spareValue = new float[states];
        _solved = new bool[weights];
        EstimateRates();
    }

    /// <summary>Whether any round was seen to turn out: before, values are no more than belief.</summary>
    public bool HasLearned => _statistics.HasLearned;

    /// <summary>Accesses, by their weight, that a page of each weighted state is expected to get in the coming round.</summary>
    public ReadOnlySpan<float> Rate => _rate;

    /// <summary>
    /// Accesses that the pages of a state together are expected to get in the coming round, each. It is <see cref="Rate"/> but
    /// for pages that were never accessed: a guest goes on to touch new ones at its own pace, however few are left.
    /// </summary>
    public double MeanRate(int state) =>
        PageState.IsUntouched(state % PageState.Own) ? _rate[state] * _firstAccesses : _rate[state];

    /// <summary>What a page of each weighted state gains by being fast rather than slow, in accesses.</summary>
    public ReadOnlySpan<float> Value => _value;

    /// <summary>The same where DRAM is to spare, where the marginal value is 0.</summary>
    public ReadOnlySpan<float> SpareValue => _spareValue;

    /// <summary>What a DRAM page is worth for a round: the accesses to the last page that finds room.</summary>
    public double MarginalValue { get; private set; }

    /// <inheritdoc cref="AccessScale.IsSaturated"/>
    public bool IsSaturated => _scale.IsSaturated;

    /// <summary>The accesses that an outcome stands for.</summary>
    public double AccessesOf(int outcome) => _scale.Of(outcome);

    /// <summary>Chance that a page of a state is accessed in the coming round.</summary>
    public double ChanceOfAccess(int state) => 1 - _statistics.Chance(state % PageState.Count, outcome: 0);

    /// <summary>Takes in how a round turned out.</summary>
    /// <param name="census">The round.</param>
    /// <param name="accesses">Accesses in it, where they were measured.</param>
    /// <param name="touches">Touches in a round of a page accessed in all quarters, where they were.</param>
    public void Learn(RoundCensus census, double? accesses, double? touches)
    {
        _scale.Observe(census.AllOutcomes, accesses, touches);
        _statistics.Learn(census);
        EstimateRates();
        ExpectFirstAccesses(census);
    }

    public void Write(BinaryWriter writer) => _statistics.Write(writer);

    public void Read(BinaryReader reader)
    {
        _statistics.Read(reader);
        EstimateRates();
    }

    /// <summary>Works out the marginal value and the values.</summary>
    /// <param name="census">The guest's pages.</param>
    /// <param name="room">Pages that can be fast.</param>
    /// <param name="cost">Cost of moving a page, in accesses.</param>
    public void Solve(RoundCensus census, long room, double cost)
    {
        ReadOnlySpan<long> fast = census.Fast.Pages;
        ReadOnlySpan<long> slow = census.Slow.Pages;
        MarginalValue = MarginalValueOf(census, room);
        for (int weight = 0; weight < _solved.Length; weight++)
        {
            int first = PageState.Weighted(0, weight);
            if (!fast.Slice(first, PageState.Count).ContainsAnyExcept(0)
                && !slow.Slice(first, PageState.Count).ContainsAnyExcept(0))
                continue;
            ReadOnlySpan<float> rate = _rate.AsSpan(first, PageState.Count);
            for (int sweep = 0; sweep < (_solved[weight] ? Sweeps : SweepsAtFirst); sweep++)
            {
                _sweep.Run(_value.AsSpan(first, PageState.Count), rate, (float)MarginalValue, (float)cost);
                _sweep.Run(_spareValue.AsSpan(first, PageState.Count), rate, marginalValue: 0, (float)cost);
            }
            _solved[weight] = true;
        }
    }

    // As many pages as in the last round; what was learned of each state while more of them were left would make too few.
    private void ExpectFirstAccesses(RoundCensus census)
    {
        double expected = 1;
        for (int state = 0; state < _rate.Length; state++)
        {
            if (PageState.IsUntouched(state % PageState.Own))
                expected += (census.Fast.Pages[state] + census.Slow.Pages[state]) * ChanceOfAccess(state);
        }
        _firstAccesses = (census.FirstAccessed + 1) / expected;
    }

    private double MarginalValueOf(RoundCensus census, long room)
    {
        ReadOnlySpan<int> lowestFirst = _byRate.Sort(census.Fast.Pages, census.Slow.Pages, _rate);
        for (int i = lowestFirst.Length - 1; i >= 0; i--)
        {
            int state = lowestFirst[i];
            // Room that no block fits into is for what is next to it.
            if (room > 0 && 2 * room < census.RunPages(state))
                continue;
            room -= census.Fast.Pages[state] + census.Slow.Pages[state];
            if (room < 0)
                return _rate[state];
        }
        return 0;
    }

    private void EstimateRates()
    {
        for (int state = 0; state < PageState.Count; state += PageState.Levels)
        {
            for (int level = 0; level < PageState.Levels; level += Vector256<float>.Count)
            {
                Vector256<float> rate = Vector256<float>.Zero;
                for (int outcome = 1; outcome < PageState.Outcomes; outcome++)
                    rate += Vector256.Create(_statistics.Chances(state, outcome)[level..]) * (float)_scale.Of(outcome);
                for (int weight = 0; weight < _solved.Length; weight++)
                    (rate * (float)AccessWeight.Factor(weight)).CopyTo(_rate, PageState.Weighted(state + level, weight));
            }
        }
    }
}
