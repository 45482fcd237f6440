// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering;

/// <summary>
/// What is remembered of a page: two bytes, which reduce to one of 256 states (how recently it was accessed, and how much
/// over the long run); with how busy its neighbours are it is one of 1024.
/// </summary>
/// <remarks>
/// <para>The <i>heat</i> byte is a moving average over rounds (decay of one eighth a round) of the share of a round's
/// harvests that found the page accessed.</para>
/// <para>The <i>recency</i> byte counts in its low three bits the harvests of the running round that found the page accessed.
/// Its high five bits are a code: absent, accessed in the last round in so many quarters of the harvests, idle for so long,
/// or never accessed at all. Idle times up to eight rounds are exact; beyond, a code stands for 2, 4, 8, then 16 rounds and
/// advances only in rounds divisible by that number.</para>
/// </remarks>
internal static class PageState
{
    /// <summary>Number of states: those of the page by itself, in each <see cref="Neighbourhood"/>.</summary>
    public const int Count = Own * Neighbourhood.Classes;

    /// <summary>States of a page by itself, from its two bytes.</summary>
    public const int Own = Recencies * Levels;

    /// <summary>Classes of recency: never accessed, accessed in 1..4 quarters of the last round, idle for longer and longer.</summary>
    public const int Recencies = 16;

    /// <summary>Levels of heat.</summary>
    public const int Levels = 16;

    /// <summary>A round may find a page accessed in 0..4 quarters of its harvests.</summary>
    public const int Outcomes = 5;

    /// <summary>Recency byte of a page without memory behind it.</summary>
    public const byte Absent = 0;

    /// <summary>The recency class of pages that were never accessed.</summary>
    public const int NeverAccessed = 0;

    /// <summary>The bits of the recency byte that count harvests.</summary>
    public const int HitMask = (1 << HitBits) - 1;

    private const int HitBits = 3;
    private const int FirstIdleCode = 5;
    private const int ExactIdleCodes = 8;
    private const int LastIdleCode = 30;
    private const int NeverAccessedCode = 31;

    // The heat of four quarters in every round settles here.
    private const double GreatestHeat = 248;

    // Lower bounds of the levels: about geometric, but no finer than the steps by which heat moves there.
    private static readonly byte[] s_levelFloors = [0, 1, 8, 12, 16, 22, 30, 40, 54, 72, 96, 120, 150, 180, 210, 240];

    private static readonly byte[] s_levelOfHeat = LevelOfHeat();

    private static ReadOnlySpan<byte> HeatGain => [0, 8, 16, 23, 31];

    // Codes of up to four idle rounds have a class each; then two share one, then four.
    private static ReadOnlySpan<byte> ClassOfCode =>
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 10, 11, 11, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14, 14, 15, 15, NeverAccessed];

    /// <summary>The state that the two bytes of a page stand for, in a neighbourhood.</summary>
    public static int Of(byte heat, byte recency, int neighbourhood) => (neighbourhood * Own) + Combine(ClassOfCode[recency >> HitBits], s_levelOfHeat[heat]);

    /// <summary>The state of a recency class and a level.</summary>
    public static int Combine(int recencyClass, int level) => (recencyClass * Levels) + level;

    /// <summary>The quarters of a round's harvests that found the page accessed, rounded up.</summary>
    public static int Outcome(byte recency, int harvests)
    {
        // More than seven harvests a round are possible, but not told apart.
        int of = Math.Min(harvests, HitMask);
        return ((4 * Math.Min(recency & HitMask, of)) + of - 1) / of;
    }

    /// <summary>The heat byte at the end of a round.</summary>
    public static byte NextHeat(byte heat, int outcome) => (byte)(heat - (heat >> 3) + HeatGain[outcome]);

    /// <summary>The recency byte of a resident page at the end of a round.</summary>
    public static byte NextRecency(byte recency, int outcome, long round)
    {
        int code = recency >> HitBits;
        if (outcome > 0)
            code = outcome;
        else if (code == Absent)
            code = NeverAccessedCode;
        else if (code < FirstIdleCode)
            code = FirstIdleCode;
        else if (code < LastIdleCode && round % RoundsOfCode(code) == 0)
            code++;
        return (byte)(code << HitBits);
    }

    /// <summary>Rounds that a page of an idle recency class has idled for, at least.</summary>
    public static int IdleRounds(int recencyClass)
    {
        int rounds = 1;
        for (int code = FirstIdleCode; ClassOfCode[code] < recencyClass; code++)
            rounds += RoundsOfCode(code);
        return rounds;
    }

    /// <summary>The recency class that follows an idle round, and the chance that it is this rather than the same again.</summary>
    public static (int Next, double Chance) AfterIdle(int recencyClass)
    {
        if (recencyClass is NeverAccessed or Recencies - 1)
            return (recencyClass, 1);
        if (recencyClass < FirstIdleCode)
            return (FirstIdleCode, 1);
        double rounds = 0;
        for (int code = FirstIdleCode; code <= LastIdleCode; code++)
        {
            if (ClassOfCode[code] == recencyClass)
                rounds += RoundsOfCode(code);
        }
        return (recencyClass + 1, 1 / rounds);
    }

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
        return Math.Min(1, (first + end - 1) / 2.0 / GreatestHeat);
    }

    private static int RoundsOfCode(int code) => (code - FirstIdleCode) switch
    {
        < ExactIdleCodes => 1,
        < ExactIdleCodes + 4 => 2,
        < ExactIdleCodes + 8 => 4,
        < ExactIdleCodes + 12 => 8,
        _ => 16,
    };

    private static (int First, int End) HeatsOf(int level) =>
        (s_levelFloors[level], level + 1 < Levels ? s_levelFloors[level + 1] : 256);

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
