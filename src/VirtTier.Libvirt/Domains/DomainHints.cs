// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Libvirt.Domains;

/// <summary>Turns what the bus tells unasked into marks of what to look at again, and into news of what has happened
/// meanwhile.</summary>
internal sealed class DomainHints : IDisposable
{
    private readonly IBus _bus;
    private readonly PendingWork _work;
    private readonly IDisposable[] _subscriptions;

    internal DomainHints(IBus bus, string driverPath, PendingWork work)
    {
        _bus = bus;
        _work = work;
        _subscriptions =
        [
            bus.Subscribe(
                $"type='signal',sender='{LibvirtClient.Service}',path_namespace='{driverPath}'", OnLibvirtSignal),
            bus.Subscribe($"type='signal',sender='{MachineRegistry.Service}',interface='org.freedesktop.machine1.Manager'",
                _ => work.Wake()),
            bus.Subscribe(
                "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',"
                + $"arg0='{LibvirtClient.Service}'",
                _ => work.MarkEverything()),
        ];
        bus.StateChanged += OnBusStateChanged;
    }

    public void Dispose()
    {
        _bus.StateChanged -= OnBusStateChanged;
        foreach (IDisposable subscription in _subscriptions)
            subscription.Dispose();
    }

    private void OnLibvirtSignal(BusSignal signal)
    {
        if (signal is { Interface: LibvirtClient.DomainInterface, Member: "MetadataChange" }
            && signal.Body.Values is [_, HeatMetadata.Namespace])
            return; // the agent's own writing
        if (signal.Interface == LibvirtClient.DomainInterface)
            _work.Mark(signal.Path);
        else if (signal is not { Interface: LibvirtClient.ConnectInterface, Member: "DomainEvent" })
            return;
        else if (signal.Body.Values is [string path, int kind, ..])
            _work.MarkEvent(path, kind);
        else
            _work.MarkEverything(); // an event of who knows which domain
    }

    private void OnBusStateChanged(BusState state)
    {
        if (state.Connected)
            _work.MarkEverything();
        else
            _work.Wake();
    }
}
