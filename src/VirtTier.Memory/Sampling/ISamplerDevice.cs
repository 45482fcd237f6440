// SPDX-License-Identifier: Apache-2.0
using Microsoft.Win32.SafeHandles;
using VirtTier.Memory.Linux;

namespace VirtTier.Memory.Sampling;

/// <summary>One open file of the kernel module. Results are the call's own, or -errno.</summary>
internal interface ISamplerDevice : IDisposable
{
    int Ioctl(uint request, nint argument);

    int Read(Span<byte> buffer);

    /// <summary>Waits until there is something to read: 1, or 0 after <paramref name="milliseconds"/>.</summary>
    int Poll(int milliseconds);
}

internal sealed unsafe class SamplerDevice : ISamplerDevice
{
    private readonly SafeFileHandle _file;

    private SamplerDevice(SafeFileHandle file) => _file = file;

    /// <summary>Opens the module's file; on failure the result is null and <paramref name="errno"/> says why.</summary>
    public static SamplerDevice? Open(string path, out int errno)
    {
        SafeFileHandle file = Libc.open(path, Errno.O_RDWR | Errno.O_CLOEXEC);
        errno = file.IsInvalid ? Libc.errno() : 0;
        return file.IsInvalid ? null : new SamplerDevice(file);
    }

    public int Ioctl(uint request, nint argument)
    {
        int result = Libc.ioctl(_file, request, argument);
        return result < 0 ? -Libc.errno() : result;
    }

    public int Read(Span<byte> buffer)
    {
        fixed (byte* start = buffer)
        {
            nint result = Libc.read(_file, start, (nuint)buffer.Length);
            return result < 0 ? -Libc.errno() : (int)result;
        }
    }

    public int Poll(int milliseconds)
    {
        Libc.Pollfd wait = new() { Fd = (int)_file.DangerousGetHandle(), Events = Libc.POLLIN };
        int result = Libc.poll(&wait, 1, milliseconds);
        GC.KeepAlive(_file);
        return result < 0 ? -Libc.errno() : result;
    }

    public void Dispose() => _file.Dispose();
}
