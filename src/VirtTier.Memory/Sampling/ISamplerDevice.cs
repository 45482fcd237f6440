// SPDX-License-Identifier: Apache-2.0
using Microsoft.Win32.SafeHandles;
using VirtTier.Linux;
using static Tmds.Linux.LibC;

namespace VirtTier.Memory.Sampling;

/// <summary>One open file of the kernel module. Results are the call's own, or -errno.</summary>
internal interface ISamplerDevice : IDisposable
{
    int Ioctl(uint request, nint argument);

    int Read(Span<byte> buffer);

    /// <summary>Waits until there is something to read: 1, or 0 after <paramref name="milliseconds"/>.</summary>
    int Poll(int milliseconds);
}

internal sealed class SamplerDevice : ISamplerDevice
{
    private readonly SafeFileHandle _file;

    private SamplerDevice(SafeFileHandle file) => _file = file;

    /// <summary>Opens the module's file; on failure the result is null and <paramref name="errno"/> says why.</summary>
    public static SamplerDevice? Open(string path, out int errno)
    {
        SafeFileHandle file = Libc.Open(path, O_RDWR, out errno);
        return file.IsInvalid ? null : new SamplerDevice(file);
    }

    public int Ioctl(uint request, nint argument) => Libc.Ioctl(_file, request, argument);

    public int Read(Span<byte> buffer) => Libc.Read(_file, buffer);

    public int Poll(int milliseconds) => Libc.PollReadable(_file, milliseconds);

    public void Dispose() => _file.Dispose();
}
