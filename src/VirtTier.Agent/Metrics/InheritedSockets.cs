// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Net.Sockets;

namespace VirtTier.Agent.Metrics;

/// <summary>The listening sockets that systemd made and handed over; see sd_listen_fds(3).</summary>
internal static class InheritedSockets
{
    // SD_LISTEN_FDS_START
    private const int First = 3;

    /// <summary>Takes them; they are to be taken once.</summary>
    /// <exception cref="ActivationException">There are none, or they do not listen; the message says what to do.</exception>
    public static IReadOnlyList<Socket> Take()
    {
        int count = Count(
            Environment.GetEnvironmentVariable("LISTEN_PID"), Environment.GetEnvironmentVariable("LISTEN_FDS"),
            Environment.ProcessId);
        return [.. Enumerable.Range(First, count).Select(Listener)];
    }

    /// <summary>How many there are.</summary>
    /// <param name="pid">LISTEN_PID: the process that they are for.</param>
    /// <param name="count">LISTEN_FDS.</param>
    /// <param name="self">This process.</param>
    /// <exception cref="ActivationException">There are none.</exception>
    internal static int Count(string? pid, string? count, int self) =>
        pid == self.ToString(CultureInfo.InvariantCulture)
        && int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int sockets) && sockets > 0
            ? sockets
            : throw new ActivationException(
                "no socket was handed over; start it with: systemctl start virttier-exporter.socket, "
                    + "or by hand: systemd-socket-activate --listen 127.0.0.1:9755 virttier metrics --serve");

    private static Socket Listener(int fd)
    {
        try
        {
            Socket socket = new(new SafeSocketHandle(fd, ownsHandle: true));
            if (socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.AcceptConnection) is not 0)
                return socket;
        }
        catch (SocketException)
        {
            // Said below.
        }
        throw new ActivationException(
            $"file descriptor {fd} is no listening stream socket; "
                + "virttier-exporter.socket must have ListenStream= and Accept=no");
    }
}

/// <summary>It was not started as it is to be; the message says how.</summary>
internal sealed class ActivationException(string message) : Exception(message);
