// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering;

/// <summary>How many accesses the accessed bits of a page's round stand for.</summary>
internal sealed class AccessScale
{
    // The average looks back over about ten rounds, as the value model does.
    private const double NewWeight = 0.1;

    private double _factor = 1;
    private bool _measured;

    // A bit says "once or more". If accesses come independently of each other, k of 4 harvests without one mean
    // -4 ln(k / 4) of them; half a harvest more keeps "in all four" finite.
    private static ReadOnlySpan<double> Independent => [0, 1.0, 2.35, 4.39, 8.79];

    /// <summary>Accesses of a page in a round that found it accessed in so many quarters of the harvests.</summary>
    public double Of(int outcome) => Independent[outcome] * _factor;

    /// <summary>Fits the scale to a round of which the number of accesses was measured.</summary>
    /// <param name="accesses">Accesses to all pages of the round.</param>
    /// <param name="pagesByOutcome">Pages by outcome.</param>
    public void Fit(double accesses, ReadOnlySpan<long> pagesByOutcome)
    {
        double independent = 0;
        for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
            independent += pagesByOutcome[outcome] * Independent[outcome];
        if (independent == 0 || accesses <= 0)
            return;
        double factor = accesses / independent;
        _factor = _measured ? _factor + (NewWeight * (factor - _factor)) : factor;
        _measured = true;
    }
}
