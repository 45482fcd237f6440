// SPDX-License-Identifier: Apache-2.0
using System.Text;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using static Tmds.Linux.LibC;

namespace VirtTier.Linux;

/// <summary>
/// The calls into the C library that .NET has no counterpart for, over Tmds.LibC. A number that one returns is the call's own
/// result, or minus the error number (<see cref="Errno"/>), as the kernel itself gives it. x86-64 only, as are the page tables
/// that VirtTier reads (EPT and NPT).
/// </summary>
public static unsafe class Libc
{
    // What Tmds.LibC lacks, by the numbers of asm/unistd_64.h.
    private const int PollNumber = 7;
    private const int ClockGettimeNumber = 228;
    private const int MovePagesNumber = 279;
    private const int ProcessVmReadvNumber = 310;
    private const int PidfdOpenNumber = 434;
    private const int ProcessMadviseNumber = 440;

    private const int CLOCK_THREAD_CPUTIME_ID = 3;

    /// <summary>open(2).</summary>
    /// <param name="path">The file.</param>
    /// <param name="flags">O_RDONLY and the like; O_CLOEXEC is always among them.</param>
    /// <param name="errno">Why the handle is invalid; 0 when it is not.</param>
    public static SafeFileHandle Open(string path, int flags, out int errno)
    {
        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
        {
            int fd = Result(open(name, flags | O_CLOEXEC, 0));
            errno = fd < 0 ? -fd : 0;
            return new SafeFileHandle(fd < 0 ? -1 : fd, ownsHandle: true);
        }
    }

    /// <summary>Whether a file has its bytes on a disk, or the kernel makes them: no directory, device, pipe or socket; see
    /// fstat(2).</summary>
    public static bool IsRegular(SafeFileHandle file)
    {
        using Held held = new(file);
        stat about = default;
        return fstat(held.Fd, &about) == 0 && S_ISREG(about.st_mode);
    }

    /// <summary>read(2): bytes read, 0 at the end.</summary>
    public static int Read(SafeFileHandle file, Span<byte> buffer)
    {
        using Held held = new(file);
        fixed (byte* start = buffer)
            return (int)Result(read(held.Fd, start, buffer.Length));
    }

    /// <summary>pread(2): bytes read at an offset, 0 at the end.</summary>
    public static int Pread(SafeFileHandle file, Span<byte> buffer, long offset)
    {
        using Held held = new(file);
        fixed (byte* start = buffer)
            return (int)Result(pread(held.Fd, start, buffer.Length, offset));
    }

    /// <summary>ioctl(2).</summary>
    public static int Ioctl(SafeFileHandle file, uint request, nint argument)
    {
        using Held held = new(file);
        return Result(ioctl(held.Fd, unchecked((int)request), (void*)argument));
    }

    /// <summary>The process that has a POSIX write lock on the file, or null when there is none; see fcntl(2).</summary>
    public static int? WriteLockHolder(SafeFileHandle file)
    {
        using Held held = new(file);
        flock asked = new() { l_type = (short)F_WRLCK };
        return fcntl(held.Fd, F_GETLK, &asked) == 0 && asked.l_type != F_UNLCK && asked.l_pid > 0 ? (int)asked.l_pid : null;
    }

    /// <summary>eventfd(2): a descriptor that a poll can be woken with.</summary>
    public static int EventFd() => Result(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));

    /// <summary>Makes an eventfd readable, so that a poll on it returns.</summary>
    public static void SignalEventFd(int fd)
    {
        ulong one = 1;
        _ = write(fd, &one, sizeof(ulong)); // fails only when it is readable already
    }

    /// <summary>Makes an eventfd unreadable again.</summary>
    public static void ClearEventFd(int fd)
    {
        ulong value;
        _ = read(fd, &value, sizeof(ulong));
    }

    /// <summary>close(2).</summary>
    public static void Close(int fd) => _ = close(fd); // its descriptor is gone in any case

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

    private static int Result(int result) => result < 0 ? -errno : result;

    private static long Result(ssize_t result) => result < 0 ? -errno : result;

    /// <summary>Keeps a file open while a call uses its descriptor.</summary>
    private readonly ref struct Held
    {
        private readonly SafeFileHandle _file;

        public Held(SafeFileHandle file)
        {
            bool added = false;
            file.DangerousAddRef(ref added);
            _file = file;
        }

        public int Fd => (int)_file.DangerousGetHandle();

        public void Dispose() => _file.DangerousRelease();
    }
}
