// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.Libvirt.Tests.Fixtures;

/// <summary>
/// What VirtTier uses of systemd-machined, on a real bus. The real one needs systemd as process 1 and is part of the
/// emulated hosts' tests.
/// </summary>
internal sealed class MachinedDouble : IAsyncDisposable
{
    private const string Name = "org.freedesktop.machine1", ManagerPath = "/org/freedesktop/machine1",
        ManagerInterface = "org.freedesktop.machine1.Manager";

    private readonly SystemBus _bus;
    private readonly Lock _lock = new();
    private readonly List<(string Name, Guid Uuid, int Leader, IDisposable Export)> _machines = []; // under _lock

    internal MachinedDouble(string busAddress)
    {
        _bus = new(new FakeLog(), busAddress);
        _bus.Export(ManagerPath, "<node/>", call => call.Member == "ListMachines"
            ? Task.FromResult(ListMachines())
            : throw BusException.ForUnknownMethod(call));
        _bus.OwnName(Name);
    }

    public ValueTask DisposeAsync() => _bus.DisposeAsync();

    internal void Register(string name, Guid uuid, int leader)
    {
        IDisposable export = _bus.Export(PathOf(name), "<node/>", call => call.Member == "GetAll"
            ? Task.FromResult(new BusBody("a{sv}", new Dictionary<string, object>
            {
                ["Name"] = new Variant("s", name),
                ["Id"] = new Variant("ay", uuid.ToByteArray(bigEndian: true)),
                ["Leader"] = new Variant("u", (uint)leader),
                ["NetworkInterfaces"] = new Variant("ai", new object[] { 3, 4 }),
            }))
            : throw BusException.ForUnknownMethod(call));
        lock (_lock)
            _machines.Add((name, uuid, leader, export));
        _bus.Emit(new("", ManagerPath, ManagerInterface, "MachineNew", new("so", name, PathOf(name))));
    }

    private static string PathOf(string name) => $"{ManagerPath}/machine/{name.Replace("-", "_2d", StringComparison.Ordinal)}";

    private BusBody ListMachines()
    {
        lock (_lock)
        {
            object[] host = [".host", "host", "", $"{ManagerPath}/machine/_2ehost"];
            IEnumerable<object> machines = _machines.Select(
                object (machine) => new object[] { machine.Name, "vm", "libvirt-qemu", PathOf(machine.Name) });
            return new("a(ssso)", new object[] { machines.Prepend(host).ToArray() });
        }
    }
}
