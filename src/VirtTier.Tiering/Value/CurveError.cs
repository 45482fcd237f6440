// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Value;

/// <summary>
/// Keeps how far a domain's curve is off where it is off most: each round the states, in the order in which DRAM would be given
/// to them, are held against the accesses that their pages then got. So it is known of any amount of DRAM, and where no page is
/// moved as well.
/// </summary>
internal sealed class CurveError
{
    // The average looks back over about five rounds.
    private const double NewWeight = 0.2;

    private readonly double[] _pages = new double[PageState.Count];
    private readonly double[] _rates = new double[PageState.Count];
    private readonly int[] _order = new int[PageState.Count];
    private int _states;
    private double _predicted;

    /// <summary>The mean over the last rounds of the greatest |predicted - observed| share of accesses along the curve, 0..1; 1
    /// until a prediction came due.</summary>
    public double Mean { get; private set; } = 1;

    /// <summary>States the curve of the coming round. How much an access weighs is left out, of both sides.</summary>
    public void Predict(RoundCensus census, ValueModel model)
    {
        Array.Clear(_pages);
        for (int state = 0; state < census.Fast.Pages.Length; state++)
            _pages[state % PageState.Count] += census.Fast.Pages[state] + census.Slow.Pages[state];
        _states = 0;
        _predicted = 0;
        for (int state = 0; state < PageState.Count; state++)
        {
            if (_pages[state] == 0)
                continue;
            _predicted += _pages[state] * model.MeanRate(state);
            _rates[_states] = -model.MeanRate(state);
            _order[_states++] = state;
        }
        _rates.AsSpan(0, _states).Sort(_order.AsSpan(0, _states));
    }

    /// <summary>Takes in how the round turned out.</summary>
    /// <param name="census">The round.</param>
    /// <param name="model">What tells how many accesses an outcome stands for.</param>
    public void EndRound(RoundCensus census, ValueModel model)
    {
        double observed = 0;
        for (int i = 0; i < _states; i++)
            observed += Accesses(_order[i], census, model);
        if (_predicted <= 0 || observed <= 0)
            return;
        double worst = 0, foretold = 0, seen = 0;
        for (int i = 0; i < _states; i++)
        {
            foretold -= _pages[_order[i]] * _rates[i];
            seen += Accesses(_order[i], census, model);
            worst = Math.Max(worst, Math.Abs((foretold / _predicted) - (seen / observed)));
        }
        Mean = Mean == 1 ? worst : Mean + (NewWeight * (worst - Mean));
    }

    private static double Accesses(int state, RoundCensus census, ValueModel model)
    {
        double accesses = 0;
        for (int outcome = 1; outcome < PageState.Outcomes; outcome++)
            accesses += census.PageOutcomes[(state * PageState.Outcomes) + outcome] * model.AccessesOf(outcome);
        return accesses;
    }
}
