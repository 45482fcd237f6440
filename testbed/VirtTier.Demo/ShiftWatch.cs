// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Demo;

/// <summary>Judges how soon the agent follows a hot set that shifted: within five rounds,
/// .95 of the new set must be in DRAM.</summary>
internal static class ShiftWatch
{
    /// <summary>The rounds within which it must have followed.</summary>
    public const int MostRounds = 5;

    private const double Share = 0.95;

    /// <summary>The verdict, and what was seen in words.</summary>
    /// <param name="roundsBefore">Rounds that were done before the shift.</param>
    /// <param name="readings">In order of time: the share of the new hot set in DRAM, and the rounds that were done right after
    /// it was read; the first from right before the shift.</param>
    public static (bool Followed, string Detail) Judge(long roundsBefore, IReadOnlyList<(double HotShare, long Rounds)> readings)
    {
        // A round that was under way at a reading may have moved some of what was found: it counts.
        int back = readings.ToList().FindIndex(r => r.HotShare >= Share);
        string course = string.Join(", ", readings.Take(back < 0 ? readings.Count : back + 1).Select(r => string.Create(
            CultureInfo.InvariantCulture, $"{r.HotShare:0.00} in round {r.Rounds - roundsBefore + 1}")));
        if (back == 0)
            return (false, $"the new hot set was in DRAM all along, which shows nothing: {course}");
        return (back > 0 && readings[back].Rounds - roundsBefore < MostRounds, readings.Count == 0 ? "no reading" : course);
    }
}
