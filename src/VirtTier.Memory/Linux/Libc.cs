// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VirtTier.Memory.Linux;

/// <summary>
/// Every call into the C library that this project makes, under the names of the manual pages, so that a managed
/// binding could take this file's place. x86-64 only, as are the page tables that VirtTier reads (EPT and NPT).
/// </summary>
internal static unsafe partial class Libc
{
    private const string Library = "libc";

    [LibraryImport(Library, SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial SafeFileHandle open(string path, int flags);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint read(SafeFileHandle fd, void* buffer, nuint count);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial nint pread(SafeFileHandle fd, void* buffer, nuint count, long offset);

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int ioctl(SafeFileHandle fd, nuint request, nint argument);

    /// <summary>poll(2): there is data to read.</summary>
    internal const short POLLIN = 1;

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int poll(Pollfd* fds, nuint count, int timeout);

    /// <summary><c>struct pollfd</c> of poll(2).</summary>
    internal struct Pollfd
    {
        public int Fd;
        public short Events;
        public short Revents;
    }

    /// <summary>clock_gettime(2): CPU time of the calling thread.</summary>
    internal const int CLOCK_THREAD_CPUTIME_ID = 3;

    [LibraryImport(Library, SetLastError = true)]
    internal static partial int clock_gettime(int clock, out Timespec time);

    /// <summary><c>struct timespec</c>.</summary>
    internal struct Timespec
    {
        public long Seconds;
        public long Nanoseconds;
    }

    /// <summary>move_pages(2), by its number in asm/unistd_64.h: glibc has no wrapper for it (libnuma has).</summary>
    internal static nint move_pages(int pid, nuint count, void* addresses, int* nodes, int* status, int flags) =>
        syscall6(279, pid, (nint)count, (nint)addresses, (nint)nodes, (nint)status, flags);

    internal static int errno() => Marshal.GetLastPInvokeError();

    [LibraryImport(Library, EntryPoint = "syscall", SetLastError = true)]
    private static partial nint syscall6(nint number, nint a, nint b, nint c, nint d, nint e, nint f);
}
