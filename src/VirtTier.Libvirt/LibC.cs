// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace VirtTier.Libvirt;

/// <summary>The few calls of libc that .NET has no counterpart for.</summary>
internal static unsafe partial class LibC
{
    internal const int EINTR = 4;
    internal const int ENOTCONN = 107;
    internal const int ECONNRESET = 104;

    internal const short POLLIN = 1;

    /// <summary>EFD_NONBLOCK | EFD_CLOEXEC of eventfd(2).</summary>
    internal const int EventFdFlags = 0x80800;

    private const int F_GETLK = 5;
    private const short F_WRLCK = 1;
    private const short F_UNLCK = 2;

    [StructLayout(LayoutKind.Sequential)]
    internal struct PollFd
    {
        internal int Fd;
        internal short Events;
        internal short Revents;
    }

    // struct flock of fcntl(2) on 64-bit Linux.
    [StructLayout(LayoutKind.Sequential)]
    private struct FileLock
    {
        internal short Type;
        internal short Whence;
        internal long Start;
        internal long Length;
        internal int Pid;
    }

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int poll(PollFd* fds, nuint count, int milliseconds);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint read(int fd, void* buffer, nuint size);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint write(int fd, void* buffer, nuint size);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int close(int fd);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int pidfd_open(int pid, uint flags);

    // fcntl is declared variadic; on x86-64 Linux a pointer passed as a variable argument travels like a fixed one.
    [LibraryImport("libc", SetLastError = true)]
    private static partial int fcntl(SafeHandle fd, int command, FileLock* fileLock);

    /// <summary>The process that has a POSIX write lock on the file, or null when there is none.</summary>
    internal static int? WriteLockHolder(SafeHandle file)
    {
        FileLock asked = new() { Type = F_WRLCK };
        return fcntl(file, F_GETLK, &asked) == 0 && asked.Type != F_UNLCK && asked.Pid > 0 ? asked.Pid : null;
    }

    /// <summary>Makes an eventfd readable, so that a poll on it returns.</summary>
    internal static void SignalEventFd(int fd)
    {
        ulong one = 1;
        _ = write(fd, &one, sizeof(ulong)); // fails only when it is readable already
    }

    /// <summary>Makes an eventfd unreadable again.</summary>
    internal static void ClearEventFd(int fd)
    {
        ulong value;
        _ = read(fd, &value, sizeof(ulong));
    }
}
