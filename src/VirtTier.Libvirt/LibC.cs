// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using Tmds.Linux;
using VirtTier.Linux;

namespace VirtTier.Libvirt;

/// <summary>What the binding of sd-bus calls, under the names that it has for it. It goes with that binding.</summary>
internal static unsafe class LibC
{
    internal const int ENOTCONN = 107;
    internal const int ECONNRESET = 104;
    internal const short POLLIN = 1;
    internal const int EventFdFlags = 0;

    [StructLayout(LayoutKind.Sequential)]
    internal struct PollFd
    {
        internal int Fd;
        internal short Events;
        internal short Revents;
    }

    internal static int poll(PollFd* fds, nuint count, int milliseconds) =>
        Libc.Poll(new Span<pollfd>(fds, (int)count), milliseconds);

    internal static int eventfd(uint initial, int flags) => Libc.EventFd();

    internal static int close(int fd)
    {
        Libc.Close(fd);
        return 0;
    }

    internal static void SignalEventFd(int fd) => Libc.SignalEventFd(fd);

    internal static void ClearEventFd(int fd) => Libc.ClearEventFd(fd);
}
