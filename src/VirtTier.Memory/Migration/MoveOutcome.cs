// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Migration;

/// <summary>What became of one page that was to be moved.</summary>
public enum MoveOutcome : byte
{
    /// <summary>Not tried: the work was cancelled, or ended by an error, before its turn.</summary>
    NotTried,

    /// <summary>It is on the wanted node now.</summary>
    Moved,

    /// <summary>In use by the kernel at each try so far; retries were left when the work was cancelled or ended.</summary>
    Busy,

    /// <summary>Mapped by several processes, and the agent lacks the right to move such pages (CAP_SYS_NICE).</summary>
    Shared,

    /// <summary>No page there: never touched, swapped out, or given back by a balloon. Drop it.</summary>
    Absent,

    /// <summary>Still busy after all retries (VFIO and other long-term pins): set aside for a while,
    /// not tried again until then.</summary>
    Pinned,

    /// <summary>Moved elsewhere by the kernel or another tool, twice, after it was moved here: set aside for a while.</summary>
    Contested,

    /// <summary>The wanted node has no room.</summary>
    TargetFull,

    /// <summary>A cpuset forbids the wanted node; <see cref="MoveReport.Problem"/> has the command that mends it.</summary>
    ForbiddenByCpuset,

    /// <summary>The process has ended.</summary>
    ProcessGone,

    /// <summary>The agent has no right to move pages of this process, or the node has no memory;
    /// <see cref="MoveReport.Problem"/> says which.</summary>
    Refused,
}
