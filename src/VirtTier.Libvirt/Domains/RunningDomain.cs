// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Domains;

/// <summary>A domain that runs, as it was at the last look. <see cref="Key"/> is its identity.</summary>
public sealed record RunningDomain
{
    /// <summary>Who tells of it, one of <see cref="DomainSources"/>.</summary>
    public string Source { get; init; } = DomainSources.Libvirt;

    /// <summary>What the source tells it from others by; its name unless set.</summary>
    public string Id { get => field ?? Name; init; }

    /// <summary>What tells it from all others of the host.</summary>
    public DomainKey Key => new(Source, Id);

    /// <summary>The domain's UUID, which it keeps over a migration. Others on the host may have the same.</summary>
    public required Guid Uuid { get; init; }

    /// <summary>The domain's name.</summary>
    public required string Name { get; init; }

    /// <summary>Its QEMU process; null when that is not known for sure, see <see cref="ProcessProblem"/>.</summary>
    public ProcessIdentity? Process { get; init; }

    /// <summary>Why <see cref="Process"/> is null; null when it is not.</summary>
    public string? ProcessProblem { get; init; }

    /// <summary>What its vCPUs do.</summary>
    public DomainState State { get; init; }

    /// <summary>
    /// Its memory is being copied (live migration, save, dump, snapshot with memory), with dirty logging on: a bad time to move
    /// its pages. Jobs on
    /// disks, such as a backup, are no matter of memory.
    /// </summary>
    public bool MigratingOut { get; init; }

    /// <summary>Its ordinary RAM now, in bytes: with what is plugged in and what its balloon has, and without virtio-mem that is
    /// not plugged, NVDIMMs, virtio-pmem and SGX's EPC.</summary>
    public required ulong MemoryBytes { get; init; }

    /// <summary>The memory that the balloon leaves it at present, in bytes.</summary>
    public ulong CurrentMemoryBytes { get; init; }

    /// <summary>The memory that the guest can use as ordinary RAM now, in bytes,
    /// which shares such as <c>25%</c> are of.</summary>
    public ulong UsableMemoryBytes => CurrentMemoryBytes > 0 ? Math.Min(MemoryBytes, CurrentMemoryBytes) : MemoryBytes;

    /// <summary>Where its owner wants it on the host.</summary>
    public NumaHints Numa { get; init; } = NumaHints.None;

    /// <summary>What rules go by.</summary>
    public DomainLabels Labels { get; init; } = DomainLabels.None;

    /// <summary>Whether its metadata has heat in it, as of when they were last read; what the agent itself has written since is
    /// no reason to read them again.</summary>
    public bool HasHeat { get; init; }

    /// <summary>The heat that came with it, when its QEMU was started to take over another's memory (a migration, a saved image);
    /// null if there is none. A guest that starts anew has none, whatever its metadata say.</summary>
    public CarriedHeat? CarriedHeat { get; init; }

    /// <summary>The settings that hold: the last ones without a problem.</summary>
    public required TieringSettings Settings { get; init; }

    /// <summary>What is wrong with the settings that its metadata has now; empty when nothing is.</summary>
    public IReadOnlyList<SettingsProblem> SettingsProblems { get; init; } = [];
}

/// <summary>A process, told apart from a later one that got the same pid.</summary>
/// <param name="Pid">The pid.</param>
/// <param name="StartTime">Its start in clock ticks since boot: field 22 of /proc/PID/stat, see proc(5).</param>
public readonly record struct ProcessIdentity(int Pid, ulong StartTime);

/// <summary>What a domain's vCPUs do.</summary>
public enum DomainState
{
    /// <summary>libvirt gave no state, or one that is not known here.</summary>
    Unknown,

    /// <summary>They run.</summary>
    Running,

    /// <summary>They are stopped: suspended, being migrated in, or in the last part of a migration out.</summary>
    Paused,

    /// <summary>The guest is shutting down, or is down and its QEMU about to end.</summary>
    ShuttingDown,

    /// <summary>The guest has crashed and is kept for inspection.</summary>
    Crashed,

    /// <summary>The guest has put itself to sleep.</summary>
    Asleep,
}

/// <summary>What a domain's definition says about its place on the host, in libvirt's own notation (<c>0-1,3</c>).</summary>
/// <param name="Mode">The mode of numatune's memory: strict, preferred, interleave or restrictive; null if unset.</param>
/// <param name="Nodeset">The nodes of numatune's memory; null if unset.</param>
/// <param name="Cpuset">The host CPUs of the vCPUs; null if unset.</param>
/// <param name="EmulatorCpuset">The host CPUs of QEMU's other threads; null if unset.</param>
/// <param name="VcpuPins">The host CPUs of each vCPU that has its own, joined by <c>;</c>; null if none has.</param>
public sealed record NumaHints(string? Mode, string? Nodeset, string? Cpuset, string? EmulatorCpuset, string? VcpuPins)
{
    /// <summary>Each of numatune's memnodes that is restrictive, as <c>cell:nodes</c>, joined by <c>;</c>; null if none is.
    /// libvirt binds the memory of strict ones in the kernel, which shows it for each mapping; these it does not.</summary>
    public string? RestrictiveCells { get; init; }

    /// <summary>The guest's own NUMA cells, each as <c>cell:vCPUs:KiB</c>, in their order in its memory, joined by <c>;</c>; null
    /// if it has none.</summary>
    public string? Cells { get; init; }

    /// <summary>Each of numatune's memnodes, as <c>cell:mode:nodes</c>, joined by <c>;</c>; null if there is none.</summary>
    public string? CellNodes { get; init; }

    /// <summary>Each memory device that is RAM of one of the cells, as <c>cell:address:KiB</c> with the guest-physical address of
    /// its first byte, joined by <c>;</c>; null if there is none, or no cells.</summary>
    public string? CellDevices { get; init; }

    /// <summary>Nothing is said.</summary>
    public static NumaHints None { get; } = new(null, null, null, null, null);
}
