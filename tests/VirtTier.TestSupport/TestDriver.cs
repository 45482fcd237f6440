// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.TestSupport;

/// <summary>libvirt's test driver behind the real libvirt-dbus: no libvirtd, no root, no processes behind its domains.</summary>
internal sealed class TestDriver : IAsyncDisposable
{
    internal const string DriverPath = "/org/libvirt/Test";

    private readonly string _directory;
    private readonly PrivateBus _bus;
    private readonly SystemBus _client;
    private readonly Daemon _daemon;

    private TestDriver(string directory, PrivateBus bus)
    {
        _directory = directory;
        _bus = bus;
        _client = new(new FakeLog(), bus.Address);
        _daemon = StartDaemon();
    }

    internal string BusAddress => _bus.Address;

    internal static async Task<TestDriver> StartAsync()
    {
        HostRing.RequirePrograms("dbus-daemon", "libvirt-dbus");
        string directory = Directory.CreateTempSubdirectory("vt-").FullName;
        TestDriver driver = new(directory, await PrivateBus.StartAsync(directory, "session"));
        await driver.WaitUntilUpAsync();
        return driver;
    }

    internal Task<BusBody> CallDriverAsync(string member, BusBody body) =>
        CallAsync(DriverPath, "org.libvirt.Connect", member, body);

    internal Task<BusBody> CallAsync(string path, string @interface, string member, BusBody body) =>
        _client.CallAsync(new("org.libvirt", path, @interface, member, body, Eventually.Limit),
            TestContext.Current.CancellationToken);

    /// <summary>Starts a transient domain and gives its object path.</summary>
    internal async Task<string> CreateAsync(TestDomain domain) =>
        (await CallDriverAsync("DomainCreateXML", new("su", (domain with { Type = "test" }).ToXml(), 0u))).Get<string>(0);

    internal Task<BusBody> CallDomainAsync(string path, string member, BusBody body) =>
        CallAsync(path, "org.libvirt.Domain", member, body);

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        _daemon.Dispose();
        _bus.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private Daemon StartDaemon() => Daemon.Start(
        Path.Combine(_directory, "libvirt-dbus.log"),
        new Dictionary<string, string>
        {
            ["DBUS_SESSION_BUS_ADDRESS"] = _bus.Address,
            ["XDG_RUNTIME_DIR"] = _directory,
            ["HOME"] = _directory,
        },
        "/usr/sbin/libvirt-dbus", "--session");

    private async Task WaitUntilUpAsync()
    {
        Task<BusBody>? last = null;
        await Eventually.IsTrue(
            () =>
            {
                if (last is null or { IsFaulted: true })
                    last = CallDriverAsync("ListDomains", new("u", 0u));
                return last.IsCompletedSuccessfully;
            },
            () => $"libvirt-dbus --session: {last?.Exception?.InnerException?.Message}");
    }
}
