// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Layout;

namespace VirtTier.Agent.Pictures;

/// <summary>The <see cref="GuestRecord"/> of each guest, kept in a file a domain as heat is. Safe for use by several domains at
/// once.</summary>
/// <param name="files">Where they are kept.</param>
/// <param name="time">The clock.</param>
/// <param name="log">Told what cannot be used.</param>
internal sealed class GuestRecords(HeatStore files, TimeProvider time, ILogger log)
{
    private readonly ConcurrentDictionary<ProcessIdentity, GuestRecord> _records = [];

    /// <summary>The record of a guest, which is there still if it was attached before.</summary>
    public GuestRecord Open(ProcessIdentity process, GuestLayout layout)
    {
        GuestRecord record = _records.GetOrAdd(process, _ => new GuestRecord(layout, time));
        record.Relaid(layout);
        return record;
    }

    /// <summary>The record of a process; null if it was never attached.</summary>
    public GuestRecord? Find(int? pid) => _records.FirstOrDefault(record => record.Key.Pid == pid).Value;

    /// <summary>Saves the record of a domain's process, if there is anything in it.</summary>
    public void Save(Guid domain, ProcessIdentity process)
    {
        if (_records.TryGetValue(process, out GuestRecord? record) && !record.IsNew)
            files.Save(domain, process, record.Save(IdOf(process)));
    }

    /// <summary>Takes up what was saved of a domain's process, before its first harvest.</summary>
    public void Restore(Guid domain, ProcessIdentity process)
    {
        if (!_records.TryGetValue(process, out GuestRecord? record) || !record.IsNew
            || files.Load(domain, process, 0) is not { } state)
            return;
        if (record.Restore(state, IdOf(process)) is { } refusal)
            log.StateFileProblem(files.FileOf(domain, process), $"left aside, the VM's pictures begin anew: {refusal}");
    }

    /// <summary>Forgets all but these domains.</summary>
    public void Keep(IReadOnlyCollection<RunningDomain> domains)
    {
        HashSet<ProcessIdentity> running = [.. domains.Select(d => d.Process).OfType<ProcessIdentity>()];
        foreach (ProcessIdentity gone in _records.Keys.Where(process => !running.Contains(process)))
            _records.TryRemove(gone, out _);
        files.Keep(domains);
    }

    // No process of another start has the same.
    private static ulong IdOf(ProcessIdentity process) => (process.StartTime << 22) | (uint)process.Pid;
}
