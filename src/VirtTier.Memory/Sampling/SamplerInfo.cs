// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Sampling;

/// <summary>The processor's second-level page table format.</summary>
public enum GuestPaging
{
    /// <summary>The guest has no second-level table yet: no vCPU has run.</summary>
    None,

    /// <summary>AMD nested page tables.</summary>
    Npt,

    /// <summary>Intel extended page tables.</summary>
    Ept,
}

/// <summary>What the kernel module can do for the attached guest.</summary>
[Flags]
public enum SamplerFeatures
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>The table has accessed and dirty bits, so harvests work.</summary>
    AccessedBits = 1 << 0,

    /// <summary>Fault sampling works on this kernel and processor.</summary>
    FaultSampling = 1 << 1,

    /// <summary>The optional kernel patch was found: cheaper fault samples.</summary>
    KernelHook = 1 << 2,

    /// <summary>Half of the memory or more is dirty-logged now (live migration): leave the guest alone.</summary>
    DirtyLogging = 1 << 3,

    /// <summary>A guest is attached: the guest's fields are valid.</summary>
    GuestAttached = 1 << 4,

    /// <summary>The guest runs guests of its own, or did lately. Unless <see cref="NestedSeen"/> is there too, what those touch
    /// is not seen, so hot memory may look cold.</summary>
    NestedGuests = 1 << 5,

    /// <summary>The guest's memory is kept from its host (SEV, SNP and the like): it is harvested, faults are not sampled,
    /// and its pages stay where they are.</summary>
    Confidential = 1 << 6,

    /// <summary>Harvests can tell the host's reclaim what was accessed: <see cref="HarvestOptions.Report"/>.</summary>
    HarvestReport = 1 << 7,

    /// <summary>What the guest's own guests touch counts as touched by the guest, in harvests.</summary>
    NestedSeen = 1 << 8,
}

/// <summary>Questions about <see cref="SamplerFeatures"/> that take more than one of them.</summary>
public static class SamplerFeaturesExtensions
{
    /// <summary>Whether the guest runs guests of its own whose accesses are not in harvests. A module that cannot see them says
    /// nothing of <see cref="SamplerFeatures.NestedSeen"/>.</summary>
    public static bool HasUnseenGuests(this SamplerFeatures features) =>
        (features & (SamplerFeatures.NestedGuests | SamplerFeatures.NestedSeen)) == SamplerFeatures.NestedGuests;
}

/// <summary>State and counters of one attached guest; counters run since the guest was attached.</summary>
/// <param name="Features">What works.</param>
/// <param name="Paging">The second-level table's format.</param>
/// <param name="Vcpus">vCPUs now.</param>
/// <param name="Memslots">Memslots now.</param>
/// <param name="GfnEnd">One past the highest guest frame number of any memslot.</param>
/// <param name="Generation">Changes whenever the memslots change.</param>
/// <param name="Harvests">Harvest calls.</param>
/// <param name="HarvestTime">Time spent in them.</param>
/// <param name="Entries">Table entries looked at by harvests.</param>
/// <param name="Flushes">Remote TLB flushes asked for.</param>
/// <param name="Samples">Fault samples recorded.</param>
/// <param name="DroppedSamples">Fault samples lost because the queue was full.</param>
/// <param name="Armed">Entries armed for fault sampling.</param>
/// <param name="Faults">Faults seen on armed entries.</param>
public sealed record SamplerInfo(
    SamplerFeatures Features,
    GuestPaging Paging,
    int Vcpus,
    int Memslots,
    ulong GfnEnd,
    ulong Generation,
    ulong Harvests,
    TimeSpan HarvestTime,
    ulong Entries,
    ulong Flushes,
    ulong Samples,
    ulong DroppedSamples,
    ulong Armed,
    ulong Faults);
