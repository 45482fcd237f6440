// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Splitting;

/// <summary>What came of splitting a 2 MiB page, or of joining its 512 pages again.</summary>
public enum SplitOutcome
{
    /// <summary>It is as was asked for.</summary>
    Done,

    /// <summary>Nothing is there, or the process has ended.</summary>
    Gone,

    /// <summary>A second process maps it (vhost-user, shared memory): the kernel does not split that.</summary>
    Shared,

    /// <summary>It is locked in memory (<c>mlock</c>, libvirt's <c>locked</c>).</summary>
    Locked,

    /// <summary>It is a hugetlb page, which is of one piece for ever.</summary>
    Hugetlb,

    /// <summary>Something in the kernel holds on to it, such as a passed-through device; or it was busy at this moment.</summary>
    Pinned,

    /// <summary>No free 2 MiB for what is to be joined.</summary>
    NoRoom,

    /// <summary>The kernel does not have the call, the agent lacks the right, or the memory is of no
    /// kind that can be joined, or lies where no 2 MiB page can.</summary>
    Refused,
}
