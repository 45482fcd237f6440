// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics.CodeAnalysis;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Pagemap;
using VirtTier.Primitives;

namespace VirtTier.Memory.Sampling;

/// <summary>Harvests the accessed bits of a whole guest, again and again, and follows its memslots.
/// One thread at a time uses it.</summary>
public sealed class GuestHarvester
{
    private readonly IGuestSampler _sampler;
    private readonly TimeProvider _time;
    private readonly Action _progress;
    private readonly HarvestOptions _options = HarvestOptions.Clear | HarvestOptions.Flush;
    private ulong _generation;
    private bool _isDirtyLogged = true; // until it is known

    /// <summary>Reads the guest's layout.</summary>
    /// <param name="sampler">The guest's sampler.</param>
    /// <param name="time">The clock.</param>
    /// <param name="progress">Called at each step of a harvest.</param>
    /// <param name="report">Tell the host's reclaim what was accessed, if the kernel module can.</param>
    /// <exception cref="GuestMemoryException">The guest has ended, or has no memory yet.</exception>
    public GuestHarvester(IGuestSampler sampler, TimeProvider time, Action? progress = null, bool report = false)
    {
        if (report && sampler.GetInfo().Features.HasFlag(SamplerFeatures.HarvestReport))
            _options |= HarvestOptions.Report;
        _sampler = sampler;
        _time = time;
        _progress = progress ?? (() => { });
        Follow(ReadLayout());
    }

    /// <summary>The guest's layout, as of the last harvest.</summary>
    public GuestLayout Layout { get; private set; }

    /// <summary>What the last harvest found.</summary>
    public HarvestBuffers Buffers { get; private set; }

    /// <summary>When the last harvest began, by the clock's <see cref="TimeProvider.GetTimestamp"/>.</summary>
    public long LastHarvest { get; private set; }

    /// <summary>Whether the guest ran guests of its own in the last harvest, whose accesses are not in it.</summary>
    public bool RunsUnseenGuests { get; private set; }

    /// <summary>Whether the guest's writes are being logged, as in a live migration: each harvest would cost it dearly.</summary>
    public bool IsDirtyLogging()
    {
        // Harvests say when it begins; only its end has to be asked for.
        if (_isDirtyLogged)
            _isDirtyLogged = _sampler.GetInfo().Features.HasFlag(SamplerFeatures.DirtyLogging);
        return _isDirtyLogged;
    }

    /// <summary>Reads and clears the accessed bits.</summary>
    /// <returns>False if the layout had changed: nothing was found then, and not all bits were cleared.</returns>
    public bool Harvest()
    {
        LastHarvest = _time.GetTimestamp();
        RunsUnseenGuests = false;
        foreach (GfnRange range in Layout.GfnRanges)
        {
            _progress();
            HarvestResult result = _sampler.Harvest(range, Buffers, _options);
            _isDirtyLogged = result.IsDirtyLogged;
            RunsUnseenGuests |= result.RunsUnseenGuests;
            if (result.Generation == _generation)
                continue;
            GuestLayout layout = ReadLayout();
            if (layout.Same(Layout))
                continue;
            Follow(layout);
            return false;
        }
        Buffers.JoinHugePages();
        return true;
    }

    private GuestLayout ReadLayout()
    {
        // The generation first: slots that change in between then show as a change at the next harvest.
        _generation = _sampler.GetInfo().Generation;
        return GuestLayout.FromMemslots(_sampler.GetMemslots());
    }

    [MemberNotNull(nameof(Layout), nameof(Buffers))]
    private void Follow(GuestLayout layout)
    {
        if (layout.PageCount == 0)
            throw new GuestMemoryException(GuestMemoryError.NotAGuest, "the guest has no memory yet");
        (Layout, Buffers) = (layout, new HarvestBuffers(layout));
    }
}

/// <summary>
/// What harvests fill, for a whole layout: bit (index % 64) of word (index / 64) of a bitmap is the page with that index,
/// element (index / 512) of the sizes its block. One bit and 2/512 byte a page, and a bit more for each detail.
/// </summary>
public sealed class HarvestBuffers
{
    private readonly ulong[] _accessed;
    private readonly ulong[] _dirty;
    private readonly ulong[] _present;
    private readonly MappingSize[] _sizes;
    private readonly HugePage[] _hugePages;

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
        _hugePages = new HugePage[_sizes.Length];
    }

    /// <summary>Pages covered: that of the layout.</summary>
    internal int PageCount { get; }

    /// <summary>Bitmap of pages accessed since the last clearing harvest.</summary>
    public Span<ulong> Accessed => _accessed;

    /// <summary>Bitmap of pages written; empty unless <see cref="HarvestDetails.Dirty"/> was asked for.</summary>
    internal Span<ulong> Dirty => _dirty;

    /// <summary>Bitmap of pages in the second-level table; empty unless <see cref="HarvestDetails.Present"/> was asked for. A
    /// page just moved is absent until its next access.</summary>
    internal Span<ulong> Present => _present;

    /// <summary>Mapping size of each block: 2 MiB also where KVM maps by small entries what is one page to the kernel.</summary>
    public ReadOnlyMemory<MappingSize> Sizes => _sizes;

    internal Span<MappingSize> WritableSizes => _sizes;

    /// <summary>What each block is to the kernel, for the harvests to come; for <see cref="ResidencyReader"/> to fill.</summary>
    public Span<HugePage> HugePages => _hugePages;

    /// <summary>Takes for mapped as one what moves as one.</summary>
    internal void JoinHugePages()
    {
        for (int block = 0; block < _sizes.Length; block++)
        {
            if (_hugePages[block] == HugePage.Whole && _sizes[block] == MappingSize.Size4K)
                _sizes[block] = MappingSize.Size2M;
        }
    }
}

/// <summary>Bitmaps that harvests fill beside that of the accessed pages. Each costs: while one is wanted, the kernel
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
