// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Sampling;
using VirtTier.Memory.Tests.Fakes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Sampling;

public sealed class GuestHarvesterTests : IDisposable
{
    private readonly Guest _guest = new();

    public void Dispose() => _guest.Dispose();

    [Fact]
    public void A_whole_guest_is_harvested_and_each_step_told()
    {
        int steps = 0;
        GuestHarvester harvester = new(_guest, TimeProvider.System, () => steps++);
        Assert.True(harvester.Harvest());
        Assert.Equal([0UL, 2048UL], _guest.Harvested);
        Assert.Equal(2, steps);
        Assert.Equal([1UL, 1UL], [harvester.Buffers.Accessed[0], harvester.Buffers.Accessed[1024 / 64]]);
    }

    [Fact]
    public void Memslots_that_are_counted_anew_and_are_the_same_spoil_no_harvest()
    {
        GuestHarvester harvester = new(_guest, TimeProvider.System);
        GuestLayout layout = harvester.Layout;
        _guest.Generation++;
        Assert.True(harvester.Harvest());
        Assert.Equal(2, _guest.Harvested.Count);
        Assert.Same(layout, harvester.Layout);
    }

    [Fact]
    public void Another_layout_ends_the_harvest_and_holds_from_the_next_on()
    {
        GuestHarvester harvester = new(_guest, TimeProvider.System);
        _guest.Slots = [new Memslot(0, 0x1000_0000, 512)];
        _guest.Generation++;
        Assert.False(harvester.Harvest());
        Assert.Single(_guest.Harvested);
        Assert.Equal(512, harvester.Layout.PageCount);
        Assert.Equal(512, harvester.Buffers.PageCount);
        Assert.True(harvester.Harvest());
    }

    [Fact]
    public void A_guest_that_runs_guests_in_any_part_of_a_harvest_is_told_of_that_harvest_alone()
    {
        GuestHarvester harvester = new(_guest, TimeProvider.System);
        _guest.RunsGuestsAt = 0;
        harvester.Harvest();
        Assert.True(harvester.RunsUnseenGuests);
        _guest.RunsGuestsAt = null;
        harvester.Harvest();
        Assert.False(harvester.RunsUnseenGuests);
    }

    [Theory]
    [InlineData(true, SamplerFeatures.HarvestReport, true)]
    [InlineData(true, SamplerFeatures.None, false)] // an older module
    [InlineData(false, SamplerFeatures.HarvestReport, false)]
    public void Reclaim_is_told_where_that_is_wished_and_the_module_can(bool wished, SamplerFeatures features, bool told)
    {
        _guest.Features = features;
        new GuestHarvester(_guest, TimeProvider.System, report: wished).Harvest();
        HarvestOptions usual = HarvestOptions.Clear | HarvestOptions.Flush;
        Assert.Equal(told ? usual | HarvestOptions.Report : usual, _guest.Options);
    }

    [Theory]
    [InlineData("Filename\tType\n", null, false)]
    [InlineData("Filename\tType\n/dev/sda2 partition 1 0 -2\n", null, true)]
    [InlineData(null, "true\n", true)]
    [InlineData(null, "false\n", false)]
    [InlineData(null, null, false)]
    public void A_host_that_swaps_or_demotes_ranks_guests(string? swaps, string? demotes, bool ranks)
    {
        using TempTree tree = new();
        if (swaps is not null)
            tree.File("proc/swaps", swaps);
        if (demotes is not null)
            tree.File("sys/kernel/mm/numa/demotion_enabled", demotes);
        Assert.Equal(ranks, HostReclaim.RanksGuests(tree.Root));
    }

    [Fact]
    public void Only_the_end_of_dirty_logging_is_asked_for()
    {
        _guest.DirtyLogging = true;
        GuestHarvester harvester = new(_guest, TimeProvider.System);
        Assert.True(harvester.IsDirtyLogging()); // not known yet
        _guest.DirtyLogging = false;
        Assert.False(harvester.IsDirtyLogging());
        int asked = _guest.Asked;
        Assert.False(harvester.IsDirtyLogging());
        Assert.Equal(asked, _guest.Asked);
        _guest.DirtyLogging = true;
        harvester.Harvest();
        Assert.True(harvester.IsDirtyLogging());
    }

    [Fact]
    public void What_is_one_page_to_the_kernel_is_mapped_as_one()
    {
        GuestHarvester harvester = new(_guest, TimeProvider.System);
        _guest.Sizes = [MappingSize.Size4K, MappingSize.Size4K, MappingSize.None, MappingSize.Size1G];
        foreach (int block in new[] { 1, 2, 3 })
            harvester.Buffers.HugePages[block] = HugePage.Whole;
        harvester.Buffers.HugePages[0] = HugePage.Torn;
        harvester.Harvest();
        Assert.Equal(
            [MappingSize.Size4K, MappingSize.Size2M, MappingSize.None, MappingSize.Size1G], harvester.Buffers.Sizes.ToArray());
    }

    [Fact]
    public void A_process_without_guest_memory_is_refused()
    {
        _guest.Slots = [];
        GuestMemoryException refused =
            Assert.Throws<GuestMemoryException>(() => new GuestHarvester(_guest, TimeProvider.System));
        Assert.Equal(GuestMemoryError.NotAGuest, refused.Kind);
    }

    /// <summary>A guest with memory in two places, whose first page of each is accessed all the time.</summary>
    private sealed class Guest : IGuestSampler
    {
        public IReadOnlyList<Memslot> Slots { get; set; } =
            [new Memslot(0, 0x1000_0000, 1024), new Memslot(2048 * 4096, 0x2000_0000, 1024)];

        public ulong Generation { get; set; } = 1;

        public bool DirtyLogging { get; set; }

        public ulong? RunsGuestsAt { get; set; }

        public int Asked { get; private set; }

        public SamplerFeatures Features { get; set; }

        public HarvestOptions Options { get; private set; }

        public List<ulong> Harvested { get; } = [];

        public MappingSize[] Sizes { get; set; } = [];

        public SamplerInfo GetInfo()
        {
            Asked++;
            return new SamplerInfo(
                Features | SamplerFeatures.AccessedBits | (DirtyLogging ? SamplerFeatures.DirtyLogging : 0),
                GuestPaging.Npt, 1, 1, 2048, Generation, 0, TimeSpan.Zero, 0, 0, 0, 0, 0, 0);
        }

        public IReadOnlyList<Memslot> GetMemslots() => Slots;

        public HarvestResult Harvest(GfnRange range, HarvestBuffers buffers, HarvestOptions options)
        {
            Options = options;
            Harvested.Add(range.FirstGfn);
            buffers.Accessed[range.FirstIndex / 64] |= 1;
            Sizes.CopyTo(MemoryMarshal.AsMemory(buffers.Sizes).Span);
            return new HarvestResult(0, 1, 0, Generation)
            {
                IsDirtyLogged = DirtyLogging,
                RunsUnseenGuests = range.FirstGfn == RunsGuestsAt,
            };
        }

        public void SampleFaults(AccessKinds kinds, int samplesPerSecond) => throw new NotSupportedException();

        public int ReadSamples(Span<AccessSample> destination) => throw new NotSupportedException();

        public bool WaitForSamples(TimeSpan timeout) => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }
}
