// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;
using System.Text;
using VirtTier.Agent.Systemd;

namespace VirtTier.Agent.Tests;

public sealed class ServiceManagerTests : IDisposable
{
    private const string Variable = "NOTIFY_SOCKET";
    private readonly string _directory = Directory.CreateTempSubdirectory("virttier-test-").FullName;
    private readonly string? _before = Environment.GetEnvironmentVariable(Variable);

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(Variable, _before);
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void The_socket_of_the_environment_hears_each_state()
    {
        string path = Path.Combine(_directory, "notify");
        using Socket manager = Listen(path);
        Environment.SetEnvironmentVariable(Variable, path);
        ServiceManager.Ready("watching libvirt");
        ServiceManager.Alive("3 domains attached: ä", []);
        ServiceManager.Stopping();
        Assert.Equal("READY=1\nSTATUS=watching libvirt", Receive(manager));
        Assert.Equal("WATCHDOG=1\nSTATUS=3 domains attached: ä", Receive(manager));
        Assert.Equal("STOPPING=1", Receive(manager));
    }

    [Fact]
    public void A_leading_at_sign_means_an_abstract_name()
    {
        string name = $"virttier-test-{Guid.NewGuid()}";
        using Socket manager = Listen($"\0{name}");
        Assert.True(ServiceManager.TrySend($"@{name}", "READY=1"));
        Assert.Equal("READY=1", Receive(manager));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("@")]
    [InlineData("relative")]
    [InlineData("vsock:2:1234")]
    [InlineData("/nobody/listens/here")]
    [InlineData("@virttier-test-nobody-listens-here")]
    public void An_address_where_nobody_listens_is_no_error(string? address) =>
        Assert.False(ServiceManager.TrySend(address, "READY=1"));

    [Theory]
    [InlineData('/')]
    [InlineData('@')]
    public void An_address_longer_than_a_socket_may_have_is_no_error(char kind) =>
        Assert.False(ServiceManager.TrySend(kind + new string('x', 200), "READY=1"));

    [Fact]
    public async Task A_manager_that_no_longer_reads_does_not_stall_the_agent()
    {
        string path = Path.Combine(_directory, "stuck");
        using Socket manager = Listen(path);
        int sent = 0;
        CancellationToken cancel = TestContext.Current.CancellationToken;
        await Task.Run(SendUntilRefused, cancel).WaitAsync(TimeSpan.FromSeconds(30), cancel);
        Assert.InRange(sent, 1, 99_999);

        void SendUntilRefused()
        {
            while (sent < 100_000 && ServiceManager.TrySend(path, "WATCHDOG=1"))
                sent++;
        }
    }

    private static Socket Listen(string path)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = 5000 };
        socket.Bind(new UnixDomainSocketEndPoint(path));
        return socket;
    }

    private static string Receive(Socket socket)
    {
        byte[] buffer = new byte[256];
        return Encoding.UTF8.GetString(buffer, 0, socket.Receive(buffer));
    }
}
