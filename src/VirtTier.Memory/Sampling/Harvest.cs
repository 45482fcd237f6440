// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;
using VirtTier.Primitives;

namespace VirtTier.Memory.Sampling;

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

/// <summary>Bitmaps that harvests fill beside that of the accessed pages. Each has its price: while one is wanted, the kernel
/// module looks into every table, also those that nobody used since the last harvest.</summary>
[Flags]
public enum HarvestDetails
{
    /// <summary>Accessed pages alone.</summary>
    None = 0,

    /// <summary>Pages written.</summary>
    Dirty = 1 << 0,

    /// <summary>Pages in the second-level table.</summary>
    Present = 1 << 1,
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
    public bool RunsGuests { get; init; }
}

/// <summary>
/// What harvests fill, for a whole layout: bit (index % 64) of word (index / 64) of a bitmap is the page with that index,
/// element (index / 512) of the sizes its block. One bit and 1/512 byte a page, and a bit more for each detail.
/// </summary>
public sealed class HarvestBuffers
{
    private readonly ulong[] _accessed;
    private readonly ulong[] _dirty;
    private readonly ulong[] _present;
    private readonly MappingSize[] _sizes;

    /// <summary>Makes empty buffers for <paramref name="layout"/>.</summary>
    /// <param name="layout">The pages.</param>
    /// <param name="details">What harvests are to tell beside the accessed pages.</param>
    public HarvestBuffers(GuestLayout layout, HarvestDetails details = HarvestDetails.None)
    {
        ArgumentNullException.ThrowIfNull(layout);
        PageCount = layout.PageCount;
        _accessed = new ulong[PageCount / 64];
        _dirty = details.HasFlag(HarvestDetails.Dirty) ? new ulong[PageCount / 64] : [];
        _present = details.HasFlag(HarvestDetails.Present) ? new ulong[PageCount / 64] : [];
        _sizes = new MappingSize[PageCount / PageSizes.BlockPages];
    }

    /// <summary>Pages covered: that of the layout.</summary>
    public int PageCount { get; }

    /// <summary>Bitmap of pages accessed since the last clearing harvest.</summary>
    public Span<ulong> Accessed => _accessed;

    /// <summary>Bitmap of pages written; empty unless <see cref="HarvestDetails.Dirty"/> was asked for.</summary>
    public Span<ulong> Dirty => _dirty;

    /// <summary>Bitmap of pages in the second-level table; empty unless <see cref="HarvestDetails.Present"/> was asked for. A
    /// page just moved is absent until its next access.</summary>
    public Span<ulong> Present => _present;

    /// <summary>Mapping size of each block.</summary>
    public ReadOnlyMemory<MappingSize> Sizes => _sizes;

    internal Span<MappingSize> WritableSizes => _sizes;
}
