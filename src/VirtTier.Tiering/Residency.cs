// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Tiering;

/// <summary>Where a 4 KiB guest page is: one byte a page, as the planner is told at the end of each round.</summary>
public static class Residency
{
    /// <summary>No memory behind the page: never touched, ballooned out or swapped out.</summary>
    public const byte Absent = 0;

    /// <summary>On the domain's fast node: counts against the DRAM budget.</summary>
    public const byte Fast = 1;

    /// <summary>On a slow node.</summary>
    public const byte Slow = 2;

    /// <summary>
    /// Flag, or-ed to <see cref="Fast"/> or <see cref="Slow"/>: the page counts where it is, but is never planned to
    /// move (pinned, or set aside after repeated failures).
    /// </summary>
    public const byte Immovable = 0x80;

    /// <summary>The tier without <see cref="Immovable"/>.</summary>
    internal static byte Tier(byte residency) => (byte)(residency & ~Immovable);
}
