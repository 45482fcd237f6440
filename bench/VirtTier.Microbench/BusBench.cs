// SPDX-License-Identifier: Apache-2.0
using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Libvirt.DBus;
using VirtTier.TestSupport;

namespace VirtTier.Microbench;

/// <summary>A call and its reply between two connections, over a dbus-daemon of its own.</summary>
public class BusBench
{
    private const string Name = "org.virttier.Bench1", Path = "/org/virttier/Bench1";

    private static readonly BusCall s_call = new(Name, Path, Name, "Echo", new BusBody("s", "web1"), TimeSpan.FromSeconds(30));

    private readonly string _directory = Directory.CreateTempSubdirectory("vt-").FullName;
    private PrivateBus? _daemon;
    private SystemBus? _service;
    private SystemBus? _client;

    [GlobalSetup]
    public async Task StartAsync()
    {
        _daemon = await PrivateBus.StartAsync(_directory);
        _service = new SystemBus(NullLogger.Instance, _daemon.Address);
        _client = new SystemBus(NullLogger.Instance, _daemon.Address);
        _service.Export(Path, "<node/>", call => Task.FromResult(call.Body));
        _service.OwnName(Name);
        await Eventually.IsTrue(IsAnsweredAsync, () => $"{Name} does not answer");
    }

    [Benchmark]
    public Task<BusBody> RoundTrip() => _client!.CallAsync(s_call);

    [GlobalCleanup]
    public async Task StopAsync()
    {
        await _client!.DisposeAsync();
        await _service!.DisposeAsync();
        _daemon!.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private async Task<bool> IsAnsweredAsync()
    {
        try
        {
            await RoundTrip();
            return true;
        }
        catch (BusException)
        {
            return false; // the name is not owned yet
        }
    }
}
