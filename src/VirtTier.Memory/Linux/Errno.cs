// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Linux;

/// <summary>The error numbers that are told apart (asm-generic/errno-base.h and errno.h), and open(2)'s flags.</summary>
internal static class Errno
{
    public const int EPERM = 1;
    public const int ENOENT = 2;
    public const int ESRCH = 3;
    public const int EINTR = 4;
    public const int ENXIO = 6;
    public const int ENOMEM = 12;
    public const int EACCES = 13;
    public const int EFAULT = 14;
    public const int EBUSY = 16;
    public const int ENODEV = 19;
    public const int EINVAL = 22;
    public const int EOPNOTSUPP = 95;

    public const int O_RDONLY = 0;
    public const int O_RDWR = 2;
    public const int O_CLOEXEC = 0x80000;

    /// <summary>Short text for an error number, for the end of a message.</summary>
    public static string Describe(int errno) => $"errno {errno}: {System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno)}";
}
