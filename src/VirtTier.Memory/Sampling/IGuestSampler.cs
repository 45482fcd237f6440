// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;

namespace VirtTier.Memory.Sampling;

/// <summary>Attaches to running guests.</summary>
public interface IGuestSamplerFactory
{
    /// <summary>Attaches to the KVM guest of process <paramref name="pid"/>; dispose the result to let go of it.</summary>
    /// <exception cref="GuestMemoryException">The module is absent or of another ABI, a right is missing, or there is no
    /// such guest.</exception>
    IGuestSampler Attach(int pid);
}

/// <summary>
/// Which pages does one guest touch? Not thread-safe. Every method throws <see cref="GuestMemoryException"/>, with
/// <see cref="GuestMemoryError.ProcessGone"/> once the guest has ended.
/// </summary>
public interface IGuestSampler : IDisposable
{
    /// <summary>State and counters now.</summary>
    SamplerInfo GetInfo();

    /// <summary>The guest's memslots now.</summary>
    IReadOnlyList<Memslot> GetMemslots();

    /// <summary>
    /// Reads (and clears) the accessed bits of <paramref name="range"/> into <paramref name="buffers"/>, at the range's own
    /// place there. The range may be one of the layout or a part of one, in whole 2 MiB.
    /// </summary>
    /// <returns>Counts of the range. A <see cref="HarvestResult.Generation"/> unlike that of the layout means that the
    /// memslots changed: read them again.</returns>
    HarvestResult Harvest(GfnRange range, HarvestBuffers buffers, HarvestOptions options);

    /// <summary>Starts fault sampling of these kinds of access at about <paramref name="samplesPerSecond"/>;
    /// 0 stops it.</summary>
    void SampleFaults(AccessKinds kinds, int samplesPerSecond);

    /// <summary>Takes the recorded fault samples, without waiting; returns how many were written.</summary>
    int ReadSamples(Span<AccessSample> destination);

    /// <summary>Waits until there are fault samples to take, at most for <paramref name="timeout"/>;
    /// false if there are none then.</summary>
    bool WaitForSamples(TimeSpan timeout);
}

/// <summary>How a harvest treats the bits it finds.</summary>
[Flags]
public enum HarvestOptions
{
    /// <summary>Look only.</summary>
    None = 0,

    /// <summary>Clear the accessed bits that are set, so that the next harvest shows new accesses only.</summary>
    Clear = 1 << 0,

    /// <summary>Flush the vCPUs' TLBs after clearing. Without it a vCPU that stays in the guest may touch a page for ever
    /// with its bit clear.</summary>
    Flush = 1 << 1,

    /// <summary>Tell the host's reclaim of the pages whose bits are cleared, so that it ranks them as it would have without the
    /// harvest. Only where <see cref="SamplerFeatures.HarvestReport"/> is.</summary>
    Report = 1 << 2,
}

/// <summary>Counts of one harvest, in 4 KiB pages. Present and dirty ones are counted only with any <see cref="HarvestDetails"/>,
/// else they are 0.</summary>
/// <param name="Present">Pages in the second-level table.</param>
/// <param name="Accessed">Of these, pages whose accessed bit was set.</param>
/// <param name="Dirty">Of these, pages whose dirty bit was set.</param>
/// <param name="Generation">Memslot generation, as in <see cref="SamplerInfo.Generation"/>.</param>
public readonly record struct HarvestResult(long Present, long Accessed, long Dirty, ulong Generation)
{
    /// <summary>Whether the guest's writes were being logged at the end of the harvest (live migration).</summary>
    public bool IsDirtyLogged { get; init; }

    /// <summary>Whether the guest ran guests of its own, whose accesses are not in the harvest.</summary>
    public bool RunsUnseenGuests { get; init; }
}

/// <summary>Kinds of access.</summary>
[Flags]
public enum AccessKinds
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>Read.</summary>
    Read = 1,

    /// <summary>Write.</summary>
    Write = 2,

    /// <summary>Instruction fetch.</summary>
    Execute = 4,
}

/// <summary>One sampled access, as the kernel module records it: the frame number in bits 0-60, the kind in bits 61-63.</summary>
public readonly struct AccessSample : IEquatable<AccessSample>
{
    private readonly ulong _record;

    /// <summary>Makes a sample from the module's record.</summary>
    public AccessSample(ulong record) => _record = record;

    /// <summary>Guest frame number (4 KiB pages).</summary>
    public ulong Gfn => _record & ((1UL << 61) - 1);

    /// <summary>Kinds of access seen.</summary>
    public AccessKinds Kinds => (AccessKinds)(_record >> 61);

    /// <inheritdoc/>
    public bool Equals(AccessSample other) => _record == other._record;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is AccessSample other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => _record.GetHashCode();

    /// <summary>Equality.</summary>
    public static bool operator ==(AccessSample left, AccessSample right) => left.Equals(right);

    /// <summary>Inequality.</summary>
    public static bool operator !=(AccessSample left, AccessSample right) => !left.Equals(right);
}
