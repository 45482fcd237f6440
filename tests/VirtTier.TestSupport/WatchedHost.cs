// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;

namespace VirtTier.TestSupport;

/// <summary>A monitor at work on a bus with a libvirt, as the agent has it.</summary>
internal sealed class WatchedHost : IAsyncDisposable
{
    private static readonly TimeSpan s_never = TimeSpan.FromDays(1);
    private static readonly DomainMonitorOptions s_byHints = new() { Heartbeat = s_never, XmlAgeLimit = s_never };

    private readonly CancellationTokenSource _stop = new();
    private readonly LinuxProcesses _processes = new();
    private readonly Task _run;

    internal WatchedHost(string busAddress, DomainMonitorOptions options)
    {
        Bus = new(new SystemBus(Log, busAddress));
        Monitor = new(Bus, _processes, options, TimeProvider.System, Log);
        _run = Monitor.RunAsync(_stop.Token);
    }

    internal FakeLog Log { get; } = new();

    internal CountingBus Bus { get; }

    internal DomainMonitor Monitor { get; }

    /// <summary>As the agent has it, but for the definitions: they are never read again for their age alone.</summary>
    internal static WatchedHost Of(PrivateHost host, LibvirtSource source = LibvirtSource.DBus) =>
        new(host.Bus.Address,
            new DomainMonitorOptions { Source = source, RunDirectory = host.RunDirectory, XmlAgeLimit = s_never });

    /// <summary>With no heartbeat: what gets into the picture got there by a hint, however slow the machine.</summary>
    internal static WatchedHost ByHintsOf(PrivateHost host, LibvirtSource source = LibvirtSource.DBus) =>
        new(host.Bus.Address, s_byHints with { Source = source, RunDirectory = host.RunDirectory });

    /// <summary>The same for libvirt's test driver.</summary>
    internal static WatchedHost ByHintsOf(TestDriver driver) => new(driver.BusAddress, s_byHints with
    {
        DriverPath = TestDriver.DriverPath,
        RunDirectory = "/nonexistent",
    });

    internal RunningDomain? Find(string name) => Monitor.Current.Domains.FirstOrDefault(domain => domain.Name == name);

    /// <summary>Waits until a domain is as told.</summary>
    internal Task UntilAsync(string name, Func<RunningDomain, bool> condition) => Eventually.IsTrue(
        () => Find(name) is { } domain && condition(domain), () => $"{name} in {this}");

    internal Task UntilGoneAsync(string name) => Eventually.IsTrue(
        () => Find(name) is null, () => $"{name} not in {this}");

    internal Task UntilLinkAsync(bool connected) => Eventually.IsTrue(
        () => Monitor.Current.Link.Connected == connected,
        () => $"connected={connected} in {this}");

    public override string ToString() =>
        $"{Monitor.Current.Link}: {string.Join("; ", Monitor.Current.Domains)}\n{string.Join('\n', Log.Lines)}";

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _run);
        Monitor.Dispose();
        await Bus.DisposeAsync();
        _processes.Dispose();
        _stop.Dispose();
    }
}
