// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace VirtTier.Linux;

// What Tmds.LibC lacks, by the numbers of asm/unistd_64.h.
public static unsafe partial class Libc
{
    private const int PollNumber = 7;
    private const int ClockGettimeNumber = 228;
    private const int MovePagesNumber = 279;
    private const int ProcessVmReadvNumber = 310;
    private const int PidfdOpenNumber = 434;
    private const int Openat2Number = 437;
    private const int ProcessMadviseNumber = 440;

    private const ulong RESOLVE_NO_XDEV = 1, RESOLVE_NO_MAGICLINKS = 2, RESOLVE_NO_SYMLINKS = 4, RESOLVE_BENEATH = 8;

    private const int CLOCK_THREAD_CPUTIME_ID = 3;

    /// <summary>open(2) of a directory, to look below it; a link is none.</summary>
    /// <param name="path">Its path.</param>
    /// <param name="errno">Why the handle is invalid; 0 when it is not.</param>
    public static SafeFileHandle OpenDirectory(string path, out int errno) =>
        Open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, out errno);

    /// <summary>openat2(2) of a directory below another one: the way there leads over no link, mount point or "..".</summary>
    /// <param name="directory">A directory.</param>
    /// <param name="below">The path from there.</param>
    /// <param name="errno">Why the handle is invalid; 0 when it is not.</param>
    public static SafeFileHandle OpenDirectoryBelow(SafeFileHandle directory, string below, out int errno)
    {
        using Held held = new(directory);
        ulong* how = stackalloc ulong[3]; // flags, mode, resolve
        how[0] = (ulong)(O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        how[2] = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
        fixed (byte* name = Encoding.UTF8.GetBytes(below + '\0'))
        {
            int fd = Result((int)syscall(Openat2Number, held.Fd, name, how, 3 * sizeof(ulong)));
            errno = fd < 0 ? -fd : 0;
            return new SafeFileHandle(fd < 0 ? -1 : fd, ownsHandle: true);
        }
    }

    /// <summary>poll(2). That of Tmds.LibC loses the error number.</summary>
    public static int Poll(Span<pollfd> fds, int milliseconds)
    {
        fixed (pollfd* first = fds)
            return Result((int)syscall(PollNumber, first, fds.Length, milliseconds));
    }

    /// <summary>poll(2) of one file, until there is something to read: 1, or 0 after <paramref name="milliseconds"/>.</summary>
    public static int PollReadable(SafeFileHandle file, int milliseconds)
    {
        using Held held = new(file);
        return Poll([new() { fd = held.Fd, events = POLLIN }], milliseconds);
    }

    /// <summary>pidfd_open(2): a descriptor of a process, readable when it has ended.</summary>
    public static int PidfdOpen(int pid) => Result((int)syscall(PidfdOpenNumber, pid, 0));

    /// <summary>clock_gettime(2) of the CPU time of the calling thread, which every kernel has.</summary>
    public static TimeSpan ThreadCpuTime()
    {
        timespec time;
        int result = Result((int)syscall(ClockGettimeNumber, CLOCK_THREAD_CPUTIME_ID, &time));
        return result == 0
            ? TimeSpan.FromSeconds(time.tv_sec) + TimeSpan.FromTicks(time.tv_nsec / TimeSpan.NanosecondsPerTick)
            : throw new InvalidOperationException($"clock_gettime of the thread's CPU time failed ({Errno.Describe(-result)})");
    }

    /// <summary>move_pages(2).</summary>
    /// <param name="pid">The process; 0 is this one.</param>
    /// <param name="addresses">The pages, by an address in each.</param>
    /// <param name="nodes">Where each is to go; empty asks only where each is.</param>
    /// <param name="status">Gets for each page its node, or minus an error number.</param>
    /// <param name="flags">MPOL_MF_MOVE and the like.</param>
    public static int MovePages(int pid, ReadOnlySpan<ulong> addresses, ReadOnlySpan<int> nodes, Span<int> status, int flags)
    {
        fixed (ulong* address = addresses)
        fixed (int* node = nodes)
        fixed (int* first = status)
            return Result((int)syscall(MovePagesNumber, pid, addresses.Length, address, node, first, flags));
    }

    /// <summary>process_madvise(2) of one run of memory of a process: the bytes advised, or minus an error number.</summary>
    /// <param name="pidfd">The process, as <see cref="PidfdOpen"/> gives it.</param>
    /// <param name="address">The first byte, at the beginning of a page.</param>
    /// <param name="length">Bytes, in whole pages.</param>
    /// <param name="advice">MADV_COLD and the like.</param>
    public static long ProcessMadvise(int pidfd, ulong address, ulong length, int advice)
    {
        iovec range = new() { iov_base = (void*)address, iov_len = (size_t)length };
        return Result(syscall(ProcessMadviseNumber, pidfd, &range, 1, advice, 0));
    }

    /// <summary>process_vm_readv(2) of one byte of each of a run of pages: the bytes read, or minus an error number.</summary>
    /// <param name="pid">The process.</param>
    /// <param name="address">The first page's address.</param>
    /// <param name="bytes">Gets one byte of each page, at most 512 of them.</param>
    /// <param name="pageBytes">Bytes of a page.</param>
    public static long ReadByteOfEachPage(int pid, ulong address, Span<byte> bytes, int pageBytes)
    {
        iovec* pages = stackalloc iovec[bytes.Length];
        for (int i = 0; i < bytes.Length; i++)
            pages[i] = new() { iov_base = (void*)(address + ((ulong)i * (ulong)pageBytes)), iov_len = 1 };
        fixed (byte* start = bytes)
        {
            iovec here = new() { iov_base = start, iov_len = bytes.Length };
            return Result(syscall(ProcessVmReadvNumber, pid, &here, 1, pages, bytes.Length, 0));
        }
    }
}
