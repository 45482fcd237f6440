// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Memory.Layout;

namespace VirtTier.Memory.Tests.Layout;

public sealed class GuestLayoutTests
{
    private const ulong MiB = 1 << 20;
    private const ulong GiB = 1 << 30;

    /// <summary>A PC with 4 GiB as QEMU's q35 lays it out: RAM below and above the PCI hole, the video hole, firmware.</summary>
    private static readonly Memslot[] s_q35 =
    [
        new(0, 0x7f00_0000_0000, 0xa0),
        new(0xc0000, 0x7f00_000c_0000, 0x20000 / 4096),
        new(0xe0000, 0x7f20_0002_0000, 0x20000 / 4096),
        new(1 * MiB, 0x7f00_0010_0000, (2 * GiB - MiB) / 4096),
        new(0xfd00_0000, 0x7f10_0000_0000, 16 * MiB / 4096),
        new(0xfffc_0000, 0x7f20_0000_0000, 0x40000 / 4096),
        new(4 * GiB, 0x7f00_8000_0000, 2 * GiB / 4096),
    ];

    [Fact]
    public void A_pc_is_three_regions_without_the_pci_hole_and_the_firmware()
    {
        GuestLayout layout = GuestLayout.FromMemslots(s_q35);
        Assert.Equal(
            [
                new GfnRange(0, 0, 524288),
                new GfnRange(0xfd000, 524288, 4096),
                new GfnRange(0x100000, 528384, 524288),
            ],
            layout.GfnRanges);
        Assert.Equal(1052672, layout.PageCount);
        Assert.Equal(1052672 - 0x20, layout.BackedPageCount);
        Assert.Equal(-1, layout.IndexOf(0x80000));
        Assert.Equal(-1, layout.IndexOf(0xfffc0));
        Assert.Equal(-1, layout.IndexOf(0x180000));
    }

    [Fact]
    public void Frames_indexes_and_addresses_agree_for_every_page()
    {
        GuestLayout layout = GuestLayout.FromMemslots(s_q35);
        int backed = 0;
        for (int index = 0; index < layout.PageCount; index++)
        {
            ulong gfn = layout.GfnOf(index);
            Memslot slot = Array.Find(s_q35, s => gfn >= s.FirstGfn && gfn < s.EndGfn);
            ulong hva = slot == default ? 0 : slot.Hva + ((gfn - slot.FirstGfn) * 4096);
            if (layout.IndexOf(gfn) != index || layout.HvaOf(index) != hva)
                Assert.Fail($"index {index}, gfn {gfn:x}: address {layout.HvaOf(index):x} instead of {hva:x}");
            backed += hva == 0 ? 0 : 1;
        }

        Assert.Equal(backed, layout.BackedPageCount);
    }

    /// <summary>Slots that overlap anyhow, judged page by page: the lowest slot has the frame,
    /// the lowest frame has the memory.</summary>
    [Fact]
    public void Overlapping_slots_are_laid_out_as_page_by_page()
    {
        Random random = new(3);
        for (int round = 0; round < 200; round++)
        {
            Memslot[] slots =
            [
                .. Enumerable.Range(0, random.Next(1, 12)).Select(_ => new Memslot(
                    (ulong)random.Next(0, 3000) * 4096, 0x7000_0000 + ((ulong)random.Next(0, 3000) * 4096),
                    (ulong)random.Next(1, 1500))),
            ];
            Dictionary<ulong, ulong> addresses = [];
            HashSet<ulong> taken = [];
            ulong next = 0;
            foreach (Memslot slot in slots.OrderBy(s => s.Gpa).ThenBy(s => s.Hva))
            {
                ulong reached = next;
                for (ulong gfn = Math.Max(slot.FirstGfn, next); gfn < slot.EndGfn; gfn++)
                {
                    ulong address = slot.Hva + ((gfn - slot.FirstGfn) * 4096);
                    if (!taken.Add(address))
                        continue;
                    addresses[gfn] = address;
                    reached = gfn + 1;
                }
                next = reached;
            }
            GuestLayout layout = GuestLayout.FromMemslots(slots);
            for (int index = 0; index < layout.PageCount; index++)
                Assert.Equal(addresses.GetValueOrDefault(layout.GfnOf(index)), layout.HvaOf(index));
        }
    }

    [Fact]
    public void Eight_times_the_slots_take_about_eight_times_as_long()
    {
        // On a busy machine any one run takes long; what each took at best says what is done. Compared with each, it is 64.
        double few = Enumerable.Range(0, 20).Min(_ => Layout(4000));
        double many = double.MaxValue;
        for (int tries = 0; tries < 40 && !(many < 24 * few); tries++)
            (few, many) = (Math.Min(few, Layout(4000)), Math.Min(many, Layout(32_000)));
        Assert.True(many < 24 * few, $"4,000 slots took {few:f2} ms, 32,000 took {many:f2}: each was compared with each");

        static double Layout(int count)
        {
            Memslot[] slots = [.. Enumerable.Range(0, count).Select(
                i => new Memslot((ulong)i * 4 * MiB, 0x7000_0000_0000 + ((ulong)i * 4 * MiB), 512))];
            Stopwatch clock = Stopwatch.StartNew();
            Assert.Equal(count * 512, GuestLayout.FromMemslots(slots).PageCount);
            return clock.Elapsed.TotalMilliseconds;
        }
    }

    [Fact]
    public void Regions_begin_and_end_at_whole_units()
    {
        GuestLayout layout = GuestLayout.FromMemslots([new Memslot(3 * MiB, 0x1000_0000, 1000)]);
        Assert.Equal([new GfnRange(512, 0, 1536)], layout.GfnRanges);
        Assert.Equal(0ul, layout.HvaOf(255));
        Assert.Equal(0x1000_0000ul, layout.HvaOf(256));
        Assert.Equal(0x1000_0000ul + (999 * 4096), layout.HvaOf(1255));
        Assert.Equal(0ul, layout.HvaOf(1256));
    }

    [Fact]
    public void Memory_seen_twice_counts_once_at_its_lowest_frame()
    {
        GuestLayout layout = GuestLayout.FromMemslots(
            [new Memslot(0, 0x1000_0000, 2048), new Memslot(1 * GiB, 0x1000_0000 + (1024 * 4096), 2048)]);
        Assert.Equal(3072, layout.BackedPageCount);
        Assert.Equal(0x1000_0000ul + (1024 * 4096), layout.HvaOf(layout.IndexOf(1024)));
        Assert.Equal(0ul, layout.HvaOf(layout.IndexOf((GiB / 4096) + 1023)));
        Assert.Equal(0x1000_0000ul + (2048 * 4096), layout.HvaOf(layout.IndexOf((GiB / 4096) + 1024)));
    }

    [Fact]
    public void Slots_of_the_second_address_space_change_nothing()
    {
        // System management mode has its own slots, mostly copies of the others.
        GuestLayout once = GuestLayout.FromMemslots(s_q35);
        GuestLayout twice = GuestLayout.FromMemslots(s_q35.Concat(s_q35).Append(new Memslot(0xa0000, 0x7f00_000a_0000, 0x20)));
        Assert.Equal(once.GfnRanges, twice.GfnRanges);
        Assert.Equal(once.BackedPageCount + 0x20, twice.BackedPageCount);
    }

    [Fact]
    public void Same_sees_each_kind_of_change()
    {
        GuestLayout layout = GuestLayout.FromMemslots(s_q35);
        Assert.True(layout.Same(GuestLayout.FromMemslots(s_q35.Reverse())));
        Assert.False(layout.Same(GuestLayout.FromMemslots(s_q35[..^1])));
        Assert.False(layout.Same(GuestLayout.FromMemslots([.. s_q35[..^1], s_q35[^1] with { Hva = 0x7f30_0000_0000 }])));
        Assert.False(layout.Same(GuestLayout.FromMemslots(
            [.. s_q35[..^1], s_q35[^1] with { PageCount = s_q35[^1].PageCount - 1 }])));
    }

    [Fact]
    public void What_a_layout_kept_of_another_is_at_the_same_frames_with_the_same_memory_behind_them()
    {
        GuestLayout before = GuestLayout.FromMemslots(s_q35);
        Assert.Equal([(0, 0, before.PageCount)], before.KeptFrom(before));

        // The video card's memory is elsewhere in QEMU, a DIMM came between, and the last half GiB went.
        Memslot above = s_q35[^1] with { PageCount = s_q35[^1].PageCount - (GiB / 2 / 4096) };
        Memslot card = s_q35[4] with { Hva = 0x7f50_0000_0000 };
        GuestLayout after = GuestLayout.FromMemslots(
            [.. s_q35[..4], card, s_q35[5], above, new(2 * GiB + (64 * MiB), 0x7f60_0000_0000, 64 * MiB / 4096)]);
        Assert.Equal([(0, 0, 524288), (528384, 524288 + 16384 + 4096, 524288 - 131072)], after.KeptFrom(before));
    }

    [Fact]
    public void No_memslots_make_an_empty_layout()
    {
        GuestLayout layout = GuestLayout.FromMemslots([]);
        Assert.Equal(0, layout.PageCount);
        Assert.Equal(-1, layout.IndexOf(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => layout.GfnOf(0));
    }

    [Fact]
    public void More_memory_than_an_index_counts_is_an_error_with_the_limit()
    {
        var error = Assert.Throws<GuestMemoryException>(() => GuestLayout.FromMemslots([new Memslot(0, 0x1000, 1ul << 31)]));
        Assert.Contains("8 TiB", error.Message, StringComparison.Ordinal);
    }
}
