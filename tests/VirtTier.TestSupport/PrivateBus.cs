// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;

namespace VirtTier.TestSupport;

/// <summary>A dbus-daemon of a test's own, on a socket of its own, that allows everything to everyone.</summary>
internal sealed class PrivateBus : IDisposable
{
    private static string Configuration(string type, string socket, string services) => $"""
        <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
         "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
        <busconfig>
          <type>{type}</type>
          <listen>unix:path={socket}</listen>
          <servicedir>{services}</servicedir>
          <policy context="default">
            <allow user="*"/>
            <allow own="*"/>
            <allow send_type="method_call"/>
            <allow send_type="method_return"/>
            <allow send_type="error"/>
            <allow send_type="signal"/>
            <allow receive_type="method_call"/>
            <allow receive_type="method_return"/>
            <allow receive_type="error"/>
            <allow receive_type="signal"/>
          </policy>
        </busconfig>
        """;

    private readonly string _directory;
    private Daemon? _daemon;

    private PrivateBus(string directory)
    {
        _directory = directory;
        SocketPath = Path.Combine(directory, "bus");
        ServiceDirectory = Path.Combine(directory, "services");
    }

    internal string Address => "unix:path=" + SocketPath;

    internal string ServiceDirectory { get; }

    internal Daemon Daemon => _daemon!;

    private string SocketPath { get; }

    internal static async Task<PrivateBus> StartAsync(string directory, string type = "system")
    {
        PrivateBus bus = new(directory);
        Directory.CreateDirectory(bus.ServiceDirectory);
        await File.WriteAllTextAsync(Path.Combine(directory, "bus.conf"),
            Configuration(type, bus.SocketPath, bus.ServiceDirectory));
        await bus.StartDaemonAsync();
        return bus;
    }

    internal async Task StartDaemonAsync()
    {
        File.Delete(SocketPath);
        _daemon = Daemon.Start(
            Path.Combine(_directory, "dbus.log"), new Dictionary<string, string>(),
            "dbus-daemon", "--config-file=" + Path.Combine(_directory, "bus.conf"), "--nofork", "--nopidfile");
        await Eventually.IsTrue(() => Listens(SocketPath), () => "dbus-daemon does not listen");
    }

    /// <summary>Whether a first connect succeeds: the socket is there before its owner listens on it.</summary>
    internal static bool Listens(string socketPath)
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(socketPath));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    public void Dispose() => _daemon?.Dispose();
}
