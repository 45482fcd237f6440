// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Replay.Traces;

namespace VirtTier.Replay.Policies;

/// <summary>
/// A plan made with knowledge of the whole trace and of what moves cost: what a decision round by round could at best come
/// near to.
/// </summary>
/// <remarks>
/// DRAM gets a price in each round. For given prices, the best plan of each page by itself (fast or slow in each round, a
/// move between them costs) is found exactly, from the last round back; prices then rise where pages want more DRAM than
/// there is and fall where they want less. What remains over-asked is settled by who would lose most. So the result is
/// feasible, and near the optimum, but not proven to be it.
/// </remarks>
public sealed class HindsightPolicy : IReplayPolicy
{
    private const int PriceSteps = 40;

    private readonly TraceCounts _counts;
    private readonly ReplicaRates? _known;
    private readonly double _cost;
    private readonly double[] _price;
    private readonly float[] _gain;
    private int _round;

    /// <summary>Makes the plan.</summary>
    /// <param name="trace">The trace to be replayed.</param>
    /// <param name="budget">Most pages in DRAM.</param>
    /// <param name="allocation">How pages get their memory.</param>
    /// <param name="cost">What one moved page costs, in accesses.</param>
    /// <param name="known">What is known of the trace, if not all: then it is no hindsight,
    /// but the best that could be done by rates.</param>
    public HindsightPolicy(Trace trace, int budget, Allocation allocation, double cost, ReplicaRates? known = null)
    {
        ArgumentNullException.ThrowIfNull(trace);
        _known = known;
        _counts = new TraceCounts(trace);
        _cost = cost;
        _gain = new float[(long)trace.Pages * trace.Rounds];
        _price = new double[trace.Rounds];
        Array.Fill(_price, (double)trace.Accesses / trace.Rounds / trace.Pages);
        bool[]? populated = allocation == Allocation.Populated ? FirstTouched(trace, budget) : null;
        int[] wanted = new int[trace.Rounds];
        for (int step = 0; step < PriceSteps; step++)
        {
            Array.Clear(wanted);
            for (int page = 0; page < trace.Pages; page++)
                PlanPage(page, populated, wanted);
            double pace = 1.0 / (1 + (step / 8.0));
            for (int round = 0; round < wanted.Length; round++)
                _price[round] *= Math.Exp(pace * Math.Clamp((double)(wanted[round] - budget) / Math.Max(1, budget), -1, 1));
        }
    }

    /// <inheritdoc/>
    public void Observe(ReadOnlySpan<PageTouch> touches)
    {
    }

    /// <inheritdoc/>
    public void EndRound(ReplayPlacement placement)
    {
        _round++;
        List<int> fast = [];
        // Who wants in, and what being in gains: a page that is born in the coming round comes in without a move.
        List<(int Page, double Gain, double Chance)> entrants = [];
        for (int page = 0; page < _counts.Pages; page++)
        {
            double gain = Gain(page, _round);
            if (placement.Residencies[page] == Residency.Fast)
                fast.Add(page);
            else if (placement.Residencies[page] == Residency.Slow && gain > _cost)
                entrants.Add((page, gain - _cost, 1));
            else if (placement.Residencies[page] == Residency.Absent && gain > 0 && ChanceOfBirth(page) is > 0 and double chance)
                entrants.Add((page, gain, chance));
        }
        entrants.Sort((a, b) => b.Gain.CompareTo(a.Gain));
        fast.Sort((a, b) => Gain(a, _round).CompareTo(Gain(b, _round)));

        int room = placement.Budget - placement.Fast;
        int evicted = 0;
        double due = 0;
        foreach ((int page, double gain, double chance) in entrants)
        {
            // Of pages that may be born, as many find room as are expected.
            if (chance < 1 && (due += chance) < 1)
                continue;
            due -= chance < 1 ? 1 : 0;
            if (room > 0)
            {
                room--;
            }
            else
            {
                if (evicted == fast.Count || gain <= Gain(fast[evicted], _round) + _cost)
                    return;
                placement.Demote(fast[evicted++]);
            }
            if (placement.Residencies[page] == Residency.Slow)
                placement.Promote(page);
        }
    }

    private static bool[] FirstTouched(Trace trace, int budget)
    {
        bool[] first = new bool[trace.Pages];
        for (int round = 0; round < trace.Rounds; round++)
        {
            for (int harvest = 0; harvest < trace.Harvests; harvest++)
            {
                foreach (PageTouch touch in trace.Slice(round, harvest))
                {
                    if (budget == 0)
                        return first;
                    if (!first[touch.Page])
                        budget--;
                    first[touch.Page] = true;
                }
            }
        }
        return first;
    }

    private ref float Gain(int page, int round) => ref _gain[((long)page * _counts.Rounds) + round];

    private double ChanceOfBirth(int page) => _known?.ChanceOfBirth(page, _round) ?? (_counts.FirstRound(page) == _round ? 1 : 0);

    // Fills in what the page gains by being fast from each round on, and counts the rounds in which it would be.
    private void PlanPage(int page, bool[]? populated, int[] wanted)
    {
        int first = populated is null ? _known?.FirstRound(page) ?? _counts.FirstRound(page) : 0;
        IReadOnlyList<(int Round, int Count)> touched = _counts.Of(page);
        int next = touched.Count - 1;
        double ifFast = 0;
        double ifSlow = 0;
        for (int round = _counts.Rounds - 1; round >= first; round--)
        {
            float count = _known?.Rate(page, round) ?? 0;
            if (_known is null && next >= 0 && touched[next].Round == round)
                count = touched[next--].Count;
            double stay = count - _price[round] + Math.Max(ifFast, ifSlow - _cost);
            ifSlow = Math.Max(ifSlow, ifFast - _cost);
            ifFast = stay;
            Gain(page, round) = (float)(ifFast - ifSlow);
        }

        bool fast = populated?[page] ?? Gain(page, first) > 0;
        for (int round = first; round < _counts.Rounds; round++)
        {
            if (round > first)
                fast = fast ? Gain(page, round) >= -_cost : Gain(page, round) > _cost;
            if (fast)
                wanted[round]++;
        }
    }
}
