// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.Value;

/// <summary>How many accesses the accessed bits of a page's round stand for.</summary>
/// <remarks>
/// A bit says "once or more". Of accesses that come independently of each other, k of 4 quarters without one would mean -4 ln(k /
/// 4); those of programs come in spells, so that a bit stands for more, and pages that are accessed in all quarters for far more.
/// How much more shows in how many of these there are: with rates spread as widely as those of Zipf's law, fewer pages are
/// accessed in four quarters than in three; the more it is the other way about,
/// the further the rates go on above what bits can tell.
/// </remarks>
internal sealed class AccessScale
{
    // The averages look back over about ten rounds, as the value model does.
    private const double NewWeight = 0.1;

    // Pages that say nothing yet, so that a handful of them proves nothing.
    private const double UnknownPages = 20;

    // Beyond this, the numbers of pages tell no more.
    private const double GreatestDensity = 3;

    // What a touch stands for that was counted as if it were independent of others, as for the other outcomes.
    private const double PerTouch = 1.3;

    private double _pagesInThree = UnknownPages;
    private double _pagesInFour = UnknownPages;
    private double _density = 1;
    private double _factor = 1;
    private double? _inAll;
    private bool _measured;

    // By quarters: 1.5 times what independent accesses would make, and more at the end; from recorded programs, of which only a
    // share of the accesses was kept, so that bits tell less than they could.
    private static ReadOnlySpan<double> Spells => [0, 1.5, 3.5, 7, 20];

    /// <summary>Accesses of a page in a round that turned out so for it.</summary>
    public double Of(int outcome) => Unscaled(outcome) * _density * _factor;

    /// <summary>Whether most accesses go to pages of which bits tell no more than that all harvests find them
    /// accessed.</summary>
    public bool IsSaturated { get; private set; }

    /// <summary>Takes in a round.</summary>
    /// <param name="pagesByOutcome">Pages by outcome.</param>
    /// <param name="accesses">Accesses to all of them, where they were measured.</param>
    /// <param name="touches">Touches in a round of a page accessed in all quarters, where harvests after unequal times
    /// told.</param>
    public void Observe(ReadOnlySpan<long> pagesByOutcome, double? accesses, double? touches)
    {
        double inThree = 0, inFour = 0, all = 0;
        for (int outcome = 1; outcome < PageState.Outcomes; outcome++)
        {
            int quarters = PageState.QuartersOf(outcome);
            if (quarters == PageState.Quarters)
                inFour += pagesByOutcome[outcome];
            else if (quarters == PageState.Quarters - 1)
                inThree += pagesByOutcome[outcome];
            all += pagesByOutcome[outcome] * Spells[quarters];
        }
        IsSaturated = inFour * Spells[PageState.Quarters] > all / 2;
        _inAll = touches is double told ? Math.Max(Spells[PageState.Quarters - 1], PerTouch * told) : null;
        _pagesInThree = ((1 - NewWeight) * _pagesInThree) + inThree;
        _pagesInFour = ((1 - NewWeight) * _pagesInFour) + inFour;
        // What is measured need not be inferred.
        _density = accesses is null && touches is null
            ? Math.Clamp((_pagesInFour + UnknownPages) / (_pagesInThree + UnknownPages), 1, GreatestDensity)
            : 1;
        if (accesses is double measured)
            Fit(measured, pagesByOutcome);
    }

    private double Unscaled(int outcome) =>
        outcome == PageState.Outcomes - 1 && _inAll is double inAll ? inAll : Spells[PageState.QuartersOf(outcome)];

    private void Fit(double accesses, ReadOnlySpan<long> pagesByOutcome)
    {
        double believed = 0;
        for (int outcome = 0; outcome < PageState.Outcomes; outcome++)
            believed += pagesByOutcome[outcome] * Unscaled(outcome);
        if (believed == 0 || accesses <= 0)
            return;
        double factor = accesses / believed;
        _factor = _measured ? _factor + (NewWeight * (factor - _factor)) : factor;
        _measured = true;
    }
}
