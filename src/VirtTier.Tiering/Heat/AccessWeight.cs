// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering.Heat;

/// <summary>
/// What the accesses that a block's bits stand for weigh, against those of the guest's other blocks: classes an octave apart,
/// from 1/8 to 4. Bits alone leave all blocks at 1.
/// </summary>
internal static class AccessWeight
{
    /// <summary>Number of classes; 0 is the weight 1, then come the lighter ones, then the heavier.</summary>
    public const int Classes = 1 + MostLighter + MostHeavier;

    private const int MostLighter = 3;
    private const int MostHeavier = 2;

    // A weight that is no more octaves off keeps its class. At a half, estimates that err would swing to and fro all the time.
    private const double Slack = 0.6;

    /// <summary>The weight of a class.</summary>
    public static double Factor(int weight) => Math.ScaleB(1, OctaveOf(weight));

    /// <summary>The class of a weight.</summary>
    /// <param name="log2">Its binary logarithm.</param>
    /// <param name="before">The class that it had, which it keeps while that is not far off.</param>
    public static byte ClassOf(double log2, byte before)
    {
        double octaves = Math.Clamp(log2, -MostLighter, MostHeavier);
        if (Math.Abs(octaves - OctaveOf(before)) <= Slack)
            return before;
        return ClassAt((int)Math.Round(octaves));
    }

    /// <summary>The class that is so many octaves heavier than another, as far as there is one.</summary>
    public static byte Heavier(byte weight, int octaves) =>
        ClassAt(Math.Clamp(OctaveOf(weight) + octaves, -MostLighter, MostHeavier));

    private static byte ClassAt(int octave) => (byte)(octave <= 0 ? -octave : MostLighter + octave);

    private static int OctaveOf(int weight) => weight <= MostLighter ? -weight : weight - MostLighter;
}
