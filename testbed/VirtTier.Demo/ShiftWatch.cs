// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Demo;

/// <summary>Judges how soon the agent follows what a guest does: a hot set that shifted must be in DRAM within five rounds,
/// but for a twentieth.</summary>
internal static class ShiftWatch
{
    /// <summary>The rounds within which it must have followed a shift.</summary>
    public const int MostRounds = 5;

    private const double Share = 0.95;

    /// <summary>The verdict, and what was seen in words.</summary>
    /// <param name="roundsBefore">Rounds that were done before the guest did it.</param>
    /// <param name="readings">In order of time: the share (of the new hot set, in DRAM) that is followed, and the rounds that
    /// were done right after it was read; the first from right before it.</param>
    /// <param name="mostRounds">The rounds within which the share must be reached.</param>
    /// <param name="share">The share.</param>
    public static (bool Followed, string Detail) Judge(
        long roundsBefore, IReadOnlyList<(double Share, long Rounds)> readings, int mostRounds = MostRounds,
        double share = Share)
    {
        // A round that was under way at a reading may have moved some of what was found: it counts.
        int back = readings.ToList().FindIndex(r => r.Share >= share);
        string course = string.Join(", ", readings.Take(back < 0 ? readings.Count : back + 1).Select(r => string.Create(
            CultureInfo.InvariantCulture, $"{r.Share:0.00} in round {r.Rounds - roundsBefore + 1}")));
        if (back == 0)
            return (false, $"it was so all along, which shows nothing: {course}");
        return (back > 0 && readings[back].Rounds - roundsBefore < mostRounds, readings.Count == 0 ? "no reading" : course);
    }
}
