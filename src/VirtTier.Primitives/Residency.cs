// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Primitives;

/// <summary>
/// Where a page is, one byte a page: first the number of its NUMA node, as the kernel tells it, and then its tier, as the planner
/// is told it. <see cref="Absent"/> is the same in both.
/// </summary>
public static class Residency
{
    /// <summary>The highest node that has a value of its own, which is its number. Such hosts have at most some dozen nodes;
    /// numbers above are seen for memory of accelerators on other processors than x86.</summary>
    public const byte HighestNode = 0xFC;

    /// <summary>A page on any node above <see cref="HighestNode"/>.</summary>
    public const byte BeyondNodes = 0xFD;

    /// <summary>No memory behind the page: never touched, ballooned out or swapped out.</summary>
    public const byte Absent = 0xFF;

    /// <summary>Memory that its owner keeps where it is, for the planner: neither in a tier nor absent, so that it counts
    /// nowhere, is never moved, and an access to it is no birth.</summary>
    public const byte Apart = 0xFE;

    /// <summary>In the fast tier: counts against the DRAM budget.</summary>
    public const byte Fast = 1;

    /// <summary>In a slow tier.</summary>
    public const byte Slow = 2;

    /// <summary>
    /// Flag, or-ed to <see cref="Fast"/> or <see cref="Slow"/>: the page counts where it is, but is never planned to
    /// move (pinned, or set aside after repeated failures).
    /// </summary>
    public const byte Immovable = 0x80;

    /// <summary>The tier of a page that is not absent, without <see cref="Immovable"/>.</summary>
    public static byte Tier(byte residency) => (byte)(residency & ~Immovable);
}
