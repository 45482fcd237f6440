// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Heat;

/// <summary>
/// What the accesses that a block's bits stand for weigh, against those of the guest's other blocks: classes half an octave
/// apart, from 1/8 to 4. Bits alone leave all blocks at 1.
/// </summary>
internal static class AccessWeight
{
    /// <summary>Number of classes; 0 is the weight 1, then come the lighter ones, then the heavier.</summary>
    public const int Classes = 1 + MostLighter + MostHeavier;

    // In whole octaves what is four times as heavy may come to lie one class apart: one of the two between classes, at the
    // mean's.
    private const int StepsOfOctave = 2;

    private const int MostLighter = 3 * StepsOfOctave;
    private const int MostHeavier = 2 * StepsOfOctave;

    // A weight that is no further off keeps its class, or else estimates that err would swing to and fro all the time. In parts
    // of the distance between classes: with more, what keeps the class of its beginning is not told from what is much lighter.
    private const double Slack = 0.6;

    /// <summary>The weight of a class.</summary>
    public static double Factor(int weight) => Math.Pow(2, (double)StepOf(weight) / StepsOfOctave);

    /// <summary>The class of a weight.</summary>
    /// <param name="log2">Its binary logarithm.</param>
    /// <param name="before">The class that it had, which it keeps while that is not far off.</param>
    /// <param name="isCoarse">Whether it is known to an octave at best.</param>
    public static byte ClassOf(double log2, byte before, bool isCoarse = false)
    {
        int distance = isCoarse ? StepsOfOctave : 1;
        double steps = Math.Clamp(log2 * StepsOfOctave, -MostLighter, MostHeavier);
        return Math.Abs(steps - StepOf(before)) <= Slack * distance
            ? before
            : ClassAt((int)Math.Round(steps / distance) * distance);
    }

    /// <summary>The class that is so many octaves heavier than another, as far as there is one.</summary>
    public static byte Heavier(byte weight, int octaves) =>
        ClassAt(Math.Clamp(StepOf(weight) + (octaves * StepsOfOctave), -MostLighter, MostHeavier));

    private static byte ClassAt(int step) => (byte)(step <= 0 ? -step : MostLighter + step);

    private static int StepOf(int weight) => weight <= MostLighter ? -weight : weight - MostLighter;
}
