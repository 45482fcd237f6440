// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Planning;

/// <summary>
/// Room kept under the budget because the kernel puts a page in DRAM when the guest first touches it, whatever the budget.
/// </summary>
internal sealed class Headroom
{
    // A burst is remembered for some rounds (bursts come in rows), but DRAM kept empty is DRAM wasted: after three quiet
    // rounds a fifth of it is left.
    private const double DecayPerRound = 0.6;

    // The coming round may well bring somewhat more than the last one did.
    private const double Margin = 1.125;

    // Never more than this share of the budget: births beyond it are better demoted after the fact.
    private const double GreatestShare = 0.5;

    // And less where the next decision comes soon.
    private const double GreatestShareWithin = 0.25;

    // On top of what is expected: 1/128 of the budget and no more than 16 MiB, so that the first pages of a burst find room,
    // while a budget as small as 16 MiB can be filled to more than 0.99.
    private const int FloorDivisor = 128;
    private const long GreatestFloor = 4096;

    // From one decision to the next births differ more than from round to round. The last interval tells most of the next one;
    // after one that brought few, the usual pace may well be back.
    private const double MarginWithin = 1.25;
    private const double PaceKeptPerRound = 0.78;

    // A list of what to demote within the round costs as much again as what is demoted,
    // so it may as well last for a round with more births.
    private const double ListMargin = 1.5;

    // Births a round from which on the guest counts as growing throughout, as a part of its budget.
    private const int GrowthDivisor = 64;

    private double _expectedBirths;

    // Where decisions are within rounds, too: born in the last interval, and what share of a round it was; born of late, and in
    // how many rounds.
    private long _bornLast;
    private double _shareLast = 1;
    private double _bornOfLate;
    private double _roundsOfLate;

    /// <summary>Takes the number of pages born in the round that ended.</summary>
    public void Observe(long born) => _expectedBirths = Math.Max(born, _expectedBirths * DecayPerRound);

    /// <summary>How much the guest grows, for which pages in DRAM have to go soon anyway: 0 where none are born, 1 from a
    /// sixty-fourth of the budget a round on.</summary>
    /// <param name="budget">The budget in pages.</param>
    public double Growth(long budget) => Math.Min(1, _expectedBirths * GrowthDivisor / Math.Max(1, budget));

    /// <summary>Takes the number of pages born from one decision to the next, where there are several in a round.</summary>
    /// <param name="born">Pages.</param>
    /// <param name="share">Share of the round that passed.</param>
    public void ObserveWithin(long born, double share)
    {
        double kept = Math.Pow(PaceKeptPerRound, share);
        (_bornLast, _shareLast) = (born, share);
        _bornOfLate = (_bornOfLate * kept) + born;
        _roundsOfLate = (_roundsOfLate * kept) + share;
    }

    /// <summary>Takes in that more pages (or fewer) were born in the last interval than <see cref="ObserveWithin"/>
    /// was told.</summary>
    public void CorrectWithin(long born)
    {
        _bornLast = Math.Max(0, _bornLast + born);
        _bornOfLate = Math.Max(0, _bornOfLate + born);
    }

    /// <summary>Pages to keep free until the next decision.</summary>
    /// <param name="budget">The budget in pages.</param>
    /// <param name="absent">Pages that can still be born.</param>
    /// <param name="spacing">Share of the round until then.</param>
    public long Pages(long budget, long absent, double spacing)
    {
        double expected = spacing < 1
            ? Math.Min(BirthsWithin(spacing) * MarginWithin, budget * GreatestShareWithin)
            : Math.Min(_expectedBirths * Margin, budget * GreatestShare);
        long floor = (long)(Math.Min(budget / FloorDivisor, GreatestFloor) * spacing);
        return Math.Min((long)expected + floor, absent);
    }

    /// <summary>Pages that may have to go within the round to make room again.</summary>
    /// <param name="absent">Pages that can still be born.</param>
    public long DemotionsWithin(long absent) => Math.Min((long)(_expectedBirths * ListMargin), absent);

    // As fast as in the last interval, which for a longer one proves nothing, or as usual.
    private double BirthsWithin(double share) =>
        _roundsOfLate > 0
            ? Math.Max(_bornLast * Math.Min(1, share / _shareLast), _bornOfLate / _roundsOfLate * share)
            : 0;
}
