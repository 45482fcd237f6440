// SPDX-License-Identifier: Apache-2.0
using System.Numerics;

namespace VirtTier.Tiering.Heat;

/// <summary>
/// What is remembered of a page: two bytes, which reduce to one of 256 states (how recently it was accessed, and how much
/// over the long run); with how busy its neighbours are it is one of 1024.
/// </summary>
/// <remarks>
/// <para>The <i>heat</i> byte is the logarithm of a moving average over rounds (decay of one sixteenth a round) of the share
/// of a round's quarters that found the page accessed. So a page that idles comes down by the same step in each round, whatever
/// its heat, and rare accesses are told apart as finely as frequent ones. 0 is no heat at all.</para>
/// <para>The <i>recency</i> byte has in its low four bits the quarters of the running round that found the page accessed.
/// Its high four bits are a code: absent, how the last round turned out, idle for so long, or never accessed at all. Idle
/// times up to three rounds are exact; beyond, a code stands for 2, 4, then 16 rounds and advances only in rounds divisible
/// by that number.</para>
/// <para>How a round turned out, the <i>outcome</i>, is in how many quarters the page was accessed, and whether in the last
/// one: programs go from one thing to the next within a round, and what is in use at its end goes on.</para>
/// </remarks>
internal static class PageState
{
    /// <summary>Number of states: those of the page by itself, in each <see cref="Neighbourhood"/>.</summary>
    public const int Count = Own * Neighbourhood.Classes;

    /// <summary>States of a page by itself, from its two bytes.</summary>
    public const int Own = Recencies * Levels;

    /// <summary>Codes of recency: absent, the outcomes but "not accessed", idle for longer and longer, never accessed.</summary>
    public const int Recencies = 16;

    /// <summary>Levels of heat.</summary>
    public const int Levels = 16;

    /// <summary>Quarters of a round, told apart as far as the round has harvests.</summary>
    public const int Quarters = 4;

    /// <summary>Not accessed; accessed in 1, 2 or 3 quarters, each without and with the last; accessed in all four.</summary>
    public const int Outcomes = 2 * Quarters;

    /// <summary>Recency byte of a page without memory behind it, and its code.</summary>
    public const byte Absent = 0;

    /// <summary>The recency code of pages that were never accessed.</summary>
    public const int NeverAccessed = Recencies - 1;

    /// <summary>The bits of the recency byte that say in which quarters the page was accessed.</summary>
    public const int HitMask = (1 << Quarters) - 1;

    private const int FirstIdle = Outcomes;
    private const int LastIdle = NeverAccessed - 1;

    // Of late means some sixteen rounds: with eight, a page that is used every ten rounds is soon taken for one that is not.
    private const double Decay = 1.0 / 16;

    private const byte GreatestHeat = byte.MaxValue;

    // The second level and the last begin at these shares; in between they are geometric. The least is what one access in one
    // quarter has come down to after three rounds. Below it, rounds of idleness are told by the recency.
    private const double LeastFloor = 0.013;
    private const double GreatestFloor = 0.95;

    // What rounding of logarithms may come to.
    private const double Exact = 1e-9;

    // The step of the logarithm: what an idle round takes.
    private static readonly double s_step = -Math.Log(1 - Decay);

    private static readonly byte[] s_levelFloors = LevelFloors();

    private static readonly byte[] s_levelOfHeat = LevelOfHeat();

    // By heat, then by quarters.
    private static readonly byte[] s_nextHeat = NextHeats();

    // Of each idle code but the last, which has no end.
    private static ReadOnlySpan<byte> RoundsOfIdle => [1, 1, 1, 2, 4, 16];

    /// <summary>The state that the two bytes of a page stand for, in a neighbourhood.</summary>
    public static int Of(byte heat, byte recency, int neighbourhood) =>
        unchecked((neighbourhood * Own) + Combine(recency >> Quarters, s_levelOfHeat[heat]));

    /// <summary>The state of a recency code and a level.</summary>
    public static int Combine(int recency, int level) => unchecked((recency * Levels) + level);

    /// <summary>A state in a class of <see cref="AccessWeight"/>, as one number.</summary>
    public static int Weighted(int state, int weight) => unchecked((weight * Count) + state);

    /// <summary>The quarter that a harvest counts for, where so many are expected in the round.</summary>
    public static int QuarterOf(int harvest, int expected) =>
        expected <= Quarters ? Math.Min(harvest, Quarters - 1) : Math.Min(harvest * Quarters / expected, Quarters - 1);

    /// <summary>How a round turned out for a page.</summary>
    /// <param name="recency">Its recency byte.</param>
    /// <param name="quarters">Quarters of the round in which there was a harvest, 1..4.</param>
    public static int Outcome(byte recency, int quarters)
    {
        int found = BitOperations.PopCount((uint)recency & HitMask);
        // Of fewer than four, each stands for more.
        int of4 = ((Quarters * found) + quarters - 1) / quarters;
        return found == 0 ? 0 : of4 == Quarters ? Outcomes - 1 : (2 * of4) - 1 + ((recency >> (quarters - 1)) & 1);
    }

    /// <summary>The quarters of a round that found a page accessed, from its outcome.</summary>
    public static int QuartersOf(int outcome) => (outcome + 1) / 2;

    /// <summary>Whether the last quarter was among them.</summary>
    public static bool InLastQuarter(int outcome) => outcome > 0 && (outcome % 2 == 0 || outcome == Outcomes - 1);

    /// <summary>The heat byte at the end of a round.</summary>
    public static byte NextHeat(byte heat, int outcome) => s_nextHeat[unchecked((heat * (Quarters + 1)) + QuartersOf(outcome))];

    /// <summary>The heat byte of a share (0..1) of quarters that found a page accessed.</summary>
    public static byte HeatOf(double share) =>
        share <= 0 ? (byte)0 : (byte)Math.Clamp(Math.Round(StepsOf(share)), 1, GreatestHeat);

    /// <summary>The share (0..1) that a heat byte stands for.</summary>
    public static double ShareOf(byte heat) => heat == 0 ? 0 : Math.Exp((heat - GreatestHeat) * s_step);

    /// <summary>The recency byte of a resident page at the end of a round.</summary>
    public static byte NextRecency(byte recency, int outcome, long round)
    {
        int code = recency >> Quarters;
        if (outcome > 0)
            code = outcome;
        else if (code == Absent)
            code = NeverAccessed;
        else if (code < FirstIdle)
            code = FirstIdle;
        else if (code < LastIdle && round % RoundsOfIdle[code - FirstIdle] == 0)
            code++;
        return (byte)(code << Quarters);
    }

    /// <summary>Whether pages in a state by itself were accessed once, but not in the last round.</summary>
    public static bool IsIdle(int own) => own / Levels is >= FirstIdle and <= LastIdle;

    /// <summary>Whether pages in a state by itself were accessed in the last round again and again, up to its end.</summary>
    public static bool IsGoingOn(int own)
    {
        int recency = own / Levels;
        return recency < Outcomes && QuartersOf(recency) > 1 && InLastQuarter(recency);
    }

    /// <summary>Whether pages in a state by itself were accessed in less than an eighth of the quarters of late.</summary>
    public static bool IsCool(int own) => RelativeHeat(own % Levels) < 0.125;

    /// <summary>Whether pages in a state by itself were accessed in all quarters of the last round.</summary>
    public static bool IsInAllQuarters(int own) => own / Levels == Outcomes - 1;

    /// <summary>Whether pages in a state by itself were never accessed.</summary>
    public static bool IsUntouched(int own) => own / Levels == NeverAccessed;

    /// <summary>Rounds that a page of an idle recency code has idled for, at least.</summary>
    public static int IdleRounds(int recency)
    {
        int rounds = 1;
        for (int code = FirstIdle; code < recency; code++)
            rounds += RoundsOfIdle[code - FirstIdle];
        return rounds;
    }

    /// <summary>The recency code that follows an idle round, and the chance that it is this rather than the same again.</summary>
    public static (int Next, double Chance) AfterIdle(int recency) => recency switch
    {
        NeverAccessed or LastIdle => (recency, 1),
        < FirstIdle => (FirstIdle, 1),
        _ => (recency + 1, 1.0 / RoundsOfIdle[recency - FirstIdle]),
    };

    /// <summary>The chances of the levels that follow a level, with heat anywhere within it.</summary>
    public static double[] LevelsAfter(int level, int outcome)
    {
        double[] chances = new double[Levels];
        (int first, int end) = HeatsOf(level);
        for (int heat = first; heat < end; heat++)
            chances[s_levelOfHeat[NextHeat((byte)heat, outcome)]] += 1.0 / (end - first);
        return chances;
    }

    /// <summary>The middle of a level, as a share of the greatest heat.</summary>
    public static double RelativeHeat(int level)
    {
        (int first, int end) = HeatsOf(level);
        return ShareOf((byte)((first + end - 1) / 2));
    }

    /// <summary>The least heat of a level, as a share of the greatest.</summary>
    public static double LeastHeat(int level) => ShareOf(s_levelFloors[level]);

    private static double StepsOf(double share) => GreatestHeat + (Math.Log(share) / s_step);

    private static (int First, int End) HeatsOf(int level) =>
        (s_levelFloors[level], level + 1 < Levels ? s_levelFloors[level + 1] : GreatestHeat + 1);

    private static byte[] LevelFloors()
    {
        byte[] floors = new byte[Levels];
        floors[1] = 1;
        double ratio = Math.Pow(GreatestFloor / LeastFloor, 1.0 / (Levels - 3));
        for (int level = 2; level < Levels; level++)
            floors[level] = HeatOf(LeastFloor * Math.Pow(ratio, level - 2));
        return floors;
    }

    private static byte[] NextHeats()
    {
        byte[] next = new byte[(GreatestHeat + 1) * (Quarters + 1)];
        for (int heat = 1; heat <= GreatestHeat; heat++)
            next[heat * (Quarters + 1)] = (byte)Math.Max(1, heat - 1);
        for (int heat = 0; heat <= GreatestHeat; heat++)
        {
            for (int quarters = 1; quarters <= Quarters; quarters++)
            {
                double share = ShareOf((byte)heat);
                double steps = StepsOf(share + (Decay * (((double)quarters / Quarters) - share)));
                // A part of a step is a whole one, or else heat would stop short of where it is going.
                next[(heat * (Quarters + 1)) + quarters] =
                    (byte)Math.Clamp(steps > heat ? Math.Ceiling(steps - Exact) : Math.Floor(steps + Exact), 1, GreatestHeat);
            }
        }
        return next;
    }

    private static byte[] LevelOfHeat()
    {
        byte[] levels = new byte[256];
        for (int level = 0; level < Levels; level++)
        {
            (int first, int end) = HeatsOf(level);
            levels.AsSpan(first, end - first).Fill((byte)level);
        }
        return levels;
    }
}
