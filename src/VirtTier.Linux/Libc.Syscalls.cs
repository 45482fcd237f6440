// SPDX-License-Identifier: Apache-2.0
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
    private const int ProcessMadviseNumber = 440;

    private const int CLOCK_THREAD_CPUTIME_ID = 3;

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
