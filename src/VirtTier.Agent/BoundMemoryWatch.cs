// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;

namespace VirtTier.Agent;

/// <summary>What of one guest is bound to nodes, looked at now and then: memory is bound as it is allocated,
/// and seldom later.</summary>
/// <param name="mover">Reads what is bound.</param>
/// <param name="pid">The guest's process.</param>
/// <param name="host">The host's tiers.</param>
/// <param name="time">The clock.</param>
internal sealed class BoundMemoryWatch(PageMover mover, int pid, HostMemory host, TimeProvider time)
{
    // To look takes time for each page of the process: at most a hundredth.
    private static readonly TimeSpan s_keptFor = TimeSpan.FromMinutes(10);
    private const int Rarity = 100;

    private BoundMemory? _bound; // null until it is known
    private long _read;
    private TimeSpan _keptFor;

    /// <inheritdoc cref="BoundMemory.Note"/>
    public string? Note => _bound?.Note;

    /// <summary>Looks again when next asked: page indexes have come to mean other memory,
    /// or something may be bound otherwise.</summary>
    public void Forget() => _bound = null;

    /// <summary>What is bound.</summary>
    public BoundMemory Find(GuestLayout layout)
    {
        if (_bound is not null && time.GetElapsedTime(_read) < _keptFor)
            return _bound;
        long start = time.GetTimestamp();
        _bound = BoundMemory.Find(mover.ReadBindings(pid), layout, host.LeavesChoice);
        _read = time.GetTimestamp();
        TimeSpan cost = time.GetElapsedTime(start, _read) * Rarity;
        _keptFor = cost > s_keptFor ? cost : s_keptFor;
        return _bound;
    }
}
