// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.Libvirt.Processes;

/// <summary>
/// What systemd-machined knows about virtual machines. It may be absent; then, and for a while after it failed to answer,
/// there simply are no machines, and for a while after it failed to answer about one that one is not there. Not safe for use by
/// several threads at a time.
/// </summary>
internal sealed class MachineRegistry(IBus bus, TimeProvider time)
{
    internal const string Service = "org.freedesktop.machine1";

    private const string ManagerInterface = "org.freedesktop.machine1.Manager";
    private const string MachineInterface = "org.freedesktop.machine1.Machine";

    private static readonly TimeSpan s_callTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_pauseAfterFailure = TimeSpan.FromSeconds(30);

    private readonly Dictionary<string, Machine> _machines = []; // by object path
    private readonly Dictionary<string, DateTimeOffset> _silent = []; // object path to when to ask again
    private DateTimeOffset _askAgainAt = DateTimeOffset.MinValue;

    private sealed record Machine(Guid Uuid, int Leader);

    /// <summary>
    /// The leader processes of the machines with a domain's UUID. There may be more than one for a moment, when a domain is
    /// started again before machined has forgotten its last run.
    /// </summary>
    internal IReadOnlyList<int> LeadersOf(Guid uuid) =>
        [.. _machines.Values.Where(machine => machine.Uuid == uuid).Select(machine => machine.Leader)];

    /// <summary>Reads what is new; one call, and one for each machine not yet known.</summary>
    internal async Task RefreshAsync(CancellationToken cancel)
    {
        if (time.GetUtcNow() < _askAgainAt)
            return;
        try
        {
            BusBody reply = await CallAsync(
                "/org/freedesktop/machine1", ManagerInterface, "ListMachines", BusBody.Empty, cancel).ConfigureAwait(false);
            HashSet<string> listed = [];
            foreach (object entry in reply.Get<object[]>(0))
            {
                if (entry is object[] and [string, "vm", string, string path])
                    listed.Add(path);
            }

            foreach (string gone in _machines.Keys.Except(listed).ToArray())
                _machines.Remove(gone);
            DateTimeOffset now = time.GetUtcNow();
            foreach (string over in _silent.Keys.Where(path => !listed.Contains(path) || _silent[path] <= now).ToArray())
                _silent.Remove(over);
            foreach (string path in listed.Where(path => !_machines.ContainsKey(path) && !_silent.ContainsKey(path)))
                await ReadAsync(path, cancel).ConfigureAwait(false);
        }
#pragma warning disable CA1031 // it is a second source only, and whatever it does must not keep the first from being asked
        catch (Exception) when (!cancel.IsCancellationRequested)
#pragma warning restore CA1031
        {
            _machines.Clear();
            _askAgainAt = time.GetUtcNow() + s_pauseAfterFailure;
        }
    }

    private async Task ReadAsync(string path, CancellationToken cancel)
    {
        try
        {
            BusBody reply = await CallAsync(
                path, "org.freedesktop.DBus.Properties", "GetAll", new("s", MachineInterface), cancel)
                .ConfigureAwait(false);
            Dictionary<string, object> properties = reply.Get<Dictionary<string, object>>(0);

            // libvirt registers the domain's UUID as the machine's Id: 16 bytes in the order in which a UUID is written.
            if (properties.GetValueOrDefault("Id") is byte[] { Length: 16 } id
                && properties.GetValueOrDefault("Leader") is uint leader)
            {
                _machines[path] = new(new Guid(id, bigEndian: true), (int)leader);
            }
        }
#pragma warning disable CA1031 // whatever it is, it is of this machine
        catch (Exception e) when (e is not BusException { ErrorName: BusException.Disconnected }
            && !cancel.IsCancellationRequested)
#pragma warning restore CA1031
        {
            // It went away between the list and the question, or is one that machined does not answer for.
            if (e is not BusException { ErrorName: not BusException.NoReply })
                _silent[path] = time.GetUtcNow() + s_pauseAfterFailure;
        }
    }

    private Task<BusBody> CallAsync(
        string path, string @interface, string member, BusBody body, CancellationToken cancel) =>
        bus.CallAsync(new(Service, path, @interface, member, body, s_callTimeout), cancel);
}
