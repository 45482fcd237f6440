// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using System.Text;

namespace VirtTier.Agent.Systemd;

/// <summary>
/// Tells systemd how the service is: a datagram to the socket that <c>NOTIFY_SOCKET</c> names. Does nothing when not started
/// by systemd, and nothing that goes wrong here is an error of the agent. See sd_notify(3).
/// </summary>
internal static class ServiceManager
{
    /// <summary>Long enough for a busy service manager; a stuck one must not stall the agent. In milliseconds.</summary>
    private const int SendTimeout = 1000;

    /// <summary>Start-up is complete; <paramref name="status"/> is the line that <c>systemctl status</c> shows.</summary>
    public static void Ready(string status) => Notify($"READY=1\nSTATUS={status}");

    /// <summary>The service has begun to stop.</summary>
    public static void Stopping() => Notify("STOPPING=1");

    /// <summary>Proof of life for <c>WatchdogSec=</c> unless something hangs, and the line that
    /// <c>systemctl status</c> shows.</summary>
    public static void Alive(string status, IReadOnlyList<string> hung) => Notify(ProofOfLife(status, hung));

    /// <summary>What <see cref="Alive"/> says. Without the proof systemd restarts the service.</summary>
    internal static string ProofOfLife(string status, IReadOnlyList<string> hung) =>
        hung.Count == 0 ? $"WATCHDOG=1\nSTATUS={status}" : $"STATUS={status}; hangs: {string.Join(", ", hung)}";

    /// <summary>Sends to a socket's path, or to the abstract name after an <c>@</c>; false when it could not be sent.</summary>
    internal static bool TrySend(string? address, string state)
    {
        // Of systemd's other kind, vsock:, only virtual machines make use.
        if (address is not ['/' or '@', _, ..])
            return false;
        try
        {
            UnixDomainSocketEndPoint manager = new(address[0] == '@' ? $"\0{address[1..]}" : address);
            using Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            socket.SendTimeout = SendTimeout;
            socket.SendTo(Encoding.UTF8.GetBytes(state), manager);
            return true;
        }
        catch (Exception e) when (e is SocketException or ArgumentException) // the latter: longer than an address may be
        {
            return false;
        }
    }

    private static void Notify(string state) => _ = TrySend(Environment.GetEnvironmentVariable("NOTIFY_SOCKET"), state);
}
