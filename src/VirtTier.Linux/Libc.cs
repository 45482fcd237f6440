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
public static unsafe partial class Libc
{
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
