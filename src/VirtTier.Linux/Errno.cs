// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace VirtTier.Linux;

/// <summary>
/// The error numbers that are told apart (asm-generic/errno-base.h and errno.h). Tmds.LibC has them as properties, which a
/// <c>switch</c> cannot take.
/// </summary>
public static class Errno
{
    /// <summary>Operation not permitted.</summary>
    public const int EPERM = 1;

    /// <summary>No such file or directory; of a page: it is not there.</summary>
    public const int ENOENT = 2;

    /// <summary>No such process.</summary>
    public const int ESRCH = 3;

    /// <summary>Interrupted by a signal.</summary>
    public const int EINTR = 4;

    /// <summary>No such device or address.</summary>
    public const int ENXIO = 6;

    /// <summary>Not at this moment.</summary>
    public const int EAGAIN = 11;

    /// <summary>Out of memory; of a move: the node is full.</summary>
    public const int ENOMEM = 12;

    /// <summary>Permission denied.</summary>
    public const int EACCES = 13;

    /// <summary>Bad address; of a page: it is not mapped.</summary>
    public const int EFAULT = 14;

    /// <summary>Device or resource busy; of a page: it is pinned.</summary>
    public const int EBUSY = 16;

    /// <summary>No such device; of a move: no such node.</summary>
    public const int ENODEV = 19;

    /// <summary>Not a directory.</summary>
    public const int ENOTDIR = 20;

    /// <summary>Invalid argument.</summary>
    public const int EINVAL = 22;

    /// <summary>Operation not supported.</summary>
    public const int EOPNOTSUPP = 95;

    /// <summary>Short text for an error number, for the end of a message.</summary>
    public static string Describe(int errno) => $"errno {errno}: {Marshal.GetPInvokeErrorMessage(errno)}";
}
