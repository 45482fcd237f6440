// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Tests.Fakes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Pagemap;

public sealed class ResidencyReaderTests : IDisposable
{
    private const int Pid = 42;
    private const ulong Hva = 0x10_0000_0000;
    private const ulong FirstEntry = Hva / PageSizes.PageBytes;
    private const ulong BlockFrames = 0x8000000 / PageSizes.PageBytes;
    private const ulong Anonymous = (1UL << 63) | (1UL << 56);
    private const ulong Shmem = (1UL << 63) | (1UL << 61);
    private const ulong NotMappedOnce = 1UL << 63;
    private const ulong Swapped = 1UL << 62;
    private const ulong ZeroFrame = 77;
    private const ulong KpfAnon = 1UL << 12;
    private const ulong KpfHead = 1UL << 15;
    private const ulong KpfTail = 1UL << 16;
    private const ulong KpfHuge = 1UL << 17;
    private readonly TempTree _tree = new();
    private readonly ModelKernel _kernel = new();
    private readonly GuestLayout _layout =
        GuestLayout.FromMemslots([new Memslot(0, Hva, 512), new Memslot(1ul << 32, Hva + (4096 * 4096), 512)]);

    public ResidencyReaderTests()
    {
        // Blocks 0 and 1 are node 0's, 3 is node 1's; block 2 belongs to both.
        _tree.File("sys/devices/system/memory/block_size_bytes", "8000000\n");
        foreach (string block in new[] { "node0/memory0", "node0/memory1", "node0/memory2", "node1/memory2", "node1/memory3" })
            _tree.File($"sys/devices/system/node/{block}/uevent", "");
        _tree.File("sys/devices/system/node/node0/meminfo", "").File("sys/devices/system/node/node0/memory_failure/total", "0");
        _tree.Words("proc/kpageflags", ZeroFrame, 1UL << 24);
        _tree.Words("proc/kpageflags", 4 * BlockFrames, 0);
        _tree.Words($"proc/{Pid}/pagemap", FirstEntry, new ulong[512]);
        _tree.Words($"proc/{Pid}/pagemap", FirstEntry + 4096, new ulong[512]);
    }

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void Nodes_come_from_frames_without_asking_the_kernel()
    {
        Page(0, Anonymous | 5);
        Page(1, Anonymous | (BlockFrames + 5));
        Page(2, Shmem | (3 * BlockFrames));
        Page(511, Anonymous | (3 * BlockFrames));
        Page(512, Anonymous | (3 * BlockFrames));
        byte[] nodes = Read();
        Assert.Equal([0, 0, 1], nodes[..3]);
        Assert.Equal([1, 1], nodes[511..513]);
        Assert.Equal([2, 3], ResidencyReader.Count(nodes, 1));
        Assert.Equal(1024 - 5, nodes.Count(node => node == Residency.Absent));
        Assert.Equal(0, _kernel.QueriedPages);
    }

    [Fact]
    public void Pages_on_nodes_of_high_numbers_are_there_and_on_none_that_can_be_tiered()
    {
        _tree.File("sys/devices/system/node/node252/memory5/uevent", "").File(
            "sys/devices/system/node/node253/memory6/uevent", "");
        _tree.File("sys/devices/system/node/node255/memory7/uevent", "").File(
            "sys/devices/system/node/node1023/memory8/uevent", "");
        for (int i = 0; i < 4; i++)
            Page(i, Anonymous | ((ulong)(5 + i) * BlockFrames));
        Page(4, Anonymous);
        _kernel.Add(Hva + (4 * 4096), new ModelFolio { Node = 254 });
        Page(5, Anonymous);
        _kernel.Add(Hva + (5 * 4096), new ModelFolio { Node = 255 });
        byte[] nodes = Read();
        const byte Beyond = Residency.BeyondNodes;
        Assert.Equal([252, Beyond, Beyond, Beyond, Beyond, Beyond, Residency.Absent], nodes[..7]);
        Assert.Equal(2, _kernel.QueriedPages);
    }

    [Theory]
    [InlineData("", "memory3")]
    [InlineData("0", "memory3")]
    [InlineData("xyz", "memory3")]
    [InlineData("fffffffffffffffff", "memory3")]
    [InlineData("8000000", "memory2147483647")]
    [InlineData("8000000", "memory99999999999")]
    public void Blocks_that_make_no_sense_are_not_believed_and_the_kernel_is_asked(string blockSize, string block)
    {
        Directory.Delete(_tree.PathOf("sys/devices/system/node/node1"), recursive: true);
        _tree.File("sys/devices/system/memory/block_size_bytes", blockSize).File(
            $"sys/devices/system/node/node1/{block}/uevent", "");
        Page(0, Anonymous | (3 * BlockFrames));
        _kernel.Add(Hva, new ModelFolio { Node = 1 });
        Assert.Equal(1, Read()[0]);
        Assert.Equal(1, _kernel.QueriedPages);
    }

    [Fact]
    public void Swapped_and_never_touched_pages_are_absent()
    {
        Page(3, Swapped | 12345);
        Assert.All(Read(), node => Assert.Equal(Residency.Absent, node));
    }

    [Fact]
    public void The_zero_page_is_absent_and_looked_up_once()
    {
        for (int page = 0; page < 100; page++)
            Page(page, NotMappedOnce | ZeroFrame);
        Page(100, NotMappedOnce | 78);
        _tree.Words("proc/kpageflags", 78, 1UL << 21);
        byte[] nodes = Read();
        Assert.All(nodes[..100], node => Assert.Equal(Residency.Absent, node));
        Assert.Equal(0, nodes[100]);
        Assert.Equal(0, _kernel.QueriedPages);
    }

    [Fact]
    public void Frames_of_a_block_with_two_nodes_are_asked_for()
    {
        Page(7, Anonymous | (2 * BlockFrames));
        Page(8, Anonymous | 1);
        _kernel.Add(Hva + (7 * 4096), new ModelFolio { Node = 1 });
        byte[] nodes = Read();
        Assert.Equal([1, 0], nodes[7..9]);
        Assert.Equal(1, _kernel.QueriedPages);
    }

    [Fact]
    public void Hidden_frames_are_asked_for_in_one_call_for_many()
    {
        for (int page = 0; page < 512; page++)
        {
            Page(page, Anonymous);
            _kernel.Add(Hva + ((ulong)page * 4096), new ModelFolio { Node = page % 2 });
        }

        Page(512, Anonymous);
        byte[] nodes = Read();
        Assert.Equal(Enumerable.Range(0, 512).Select(page => (byte)(page % 2)), nodes[..512]);
        Assert.Equal(Residency.Absent, nodes[512]);
        Assert.Equal(513, _kernel.QueriedPages);
    }

    [Fact]
    public void Without_kpageflags_the_kernel_is_asked_what_might_be_the_zero_page()
    {
        File.Delete(_tree.PathOf("proc/kpageflags"));
        Page(0, NotMappedOnce | ZeroFrame);
        Page(1, NotMappedOnce | 3);
        _kernel.Add(Hva + 4096, new ModelFolio { Node = 0 });
        byte[] nodes = Read();
        Assert.Equal([Residency.Absent, 0], nodes[..2]);
    }

    [Fact]
    public void Memory_added_to_the_host_is_found()
    {
        Page(0, Anonymous | (4 * BlockFrames));
        var reader = NewReader();
        _tree.File("sys/devices/system/node/node1/memory4/uevent", "");
        var nodes = new byte[_layout.PageCount];
        reader.Read(Pid, _layout, 0, nodes);
        Assert.Equal(1, nodes[0]);
        Assert.Equal(0, _kernel.QueriedPages);
    }

    [Fact]
    public void A_slice_has_the_pages_that_were_asked_for()
    {
        Page(510, Anonymous | 1);
        Page(513, Anonymous | (3 * BlockFrames));
        var slice = new byte[4];
        NewReader().Read(Pid, _layout, 510, slice);
        Assert.Equal([0, Residency.Absent, Residency.Absent, 1], slice);
        Assert.Throws<ArgumentOutOfRangeException>(() => NewReader().Read(Pid, _layout, 1022, new byte[3]));
    }

    [Fact]
    public void A_process_that_ended_is_told_apart()
    {
        var nodes = new byte[_layout.PageCount];
        var error = Assert.Throws<GuestMemoryException>(() => NewReader().Read(43, _layout, 0, nodes));
        Assert.Equal(GuestMemoryError.ProcessGone, error.Kind);

        // An address space that is gone reads as an empty file.
        _tree.File("proc/44/pagemap", "");
        error = Assert.Throws<GuestMemoryException>(() => NewReader().Read(44, _layout, 0, nodes));
        Assert.Equal(GuestMemoryError.ProcessGone, error.Kind);
    }

    [Fact]
    public void A_block_that_is_one_page_to_the_kernel_is_told()
    {
        HugePageAt(0, 4096, KpfHead | KpfAnon);
        for (int page = 0; page < 512; page++)
        {
            Page(page, Anonymous | (4096 + (ulong)page));
            Page(512 + page, Anonymous | (8192 + (ulong)page)); // beside each other, and small
        }
        (byte[] nodes, HugePage[] pages) = ReadPages(_layout);
        Assert.Equal([HugePage.Whole, HugePage.None], pages);
        Assert.All(nodes, node => Assert.Equal(0, node));
        _tree.Words("proc/kpageflags", 4096, new ulong[512]); // it was split
        Assert.Equal([HugePage.None, HugePage.None], ReadPages(_layout).Pages);
    }

    [Theory]
    [InlineData(1UL, HugePage.None)] // not at a multiple of its size
    [InlineData(512UL, HugePage.Whole)]
    public void Frames_have_to_lie_as_a_huge_page_does(ulong shift, HugePage expected)
    {
        HugePageAt(0, 4096 + shift, KpfHead | KpfAnon);
        for (int page = 0; page < 512; page++)
            Page(page, Anonymous | (4096 + shift + (ulong)page));
        Assert.Equal(expected, ReadPages(_layout).Pages[0]);
    }

    [Theory]
    [InlineData(KpfAnon, HugePage.Torn)]
    [InlineData(0, HugePage.None)] // a file's
    [InlineData(KpfAnon | KpfHuge, HugePage.None)]
    public void One_of_which_a_part_is_gone_or_elsewhere_is_torn(ulong kind, HugePage expected)
    {
        HugePageAt(0, 4096, KpfHead | kind);
        for (int page = 200; page < 512; page++)
            Page(page, Anonymous | (4096 + (ulong)page));
        Page(0, Anonymous | 7777);
        (byte[] nodes, HugePage[] pages) = ReadPages(_layout);
        Assert.Equal([expected, HugePage.None], pages);
        Assert.Equal([0, Residency.Absent], nodes[..2]); // the others are where they were
    }

    [Fact]
    public void Where_the_guest_has_no_memory_in_the_middle_of_one_it_lies_with_the_rest()
    {
        // A PC's first 2 MiB.
        GuestLayout layout = GuestLayout.FromMemslots(
            [new Memslot(0, Hva, 160), new Memslot(192 * 4096, Hva + (192 * 4096), 1024 - 192)]);
        _tree.Words($"proc/{Pid}/pagemap", FirstEntry, new ulong[1024]);
        ulong frame = 3 * BlockFrames;
        HugePageAt(0, frame, KpfHead | KpfAnon);
        for (int page = 0; page < 512; page++)
            _tree.Words($"proc/{Pid}/pagemap", FirstEntry + (ulong)page, Anonymous | (frame + (ulong)page));
        (byte[] nodes, HugePage[] pages) = ReadPages(layout);
        Assert.Equal([HugePage.Whole, HugePage.None], pages);
        Assert.All(nodes[..512], node => Assert.Equal(1, node));
        Assert.All(nodes[512..], node => Assert.Equal(Residency.Absent, node));
    }

    [Fact]
    public void The_huge_zero_page_is_absent_and_none()
    {
        HugePageAt(0, 4096, KpfHead);
        for (int page = 0; page < 512; page++)
        {
            Page(page, NotMappedOnce | (4096 + (ulong)page));
            _tree.Words("proc/kpageflags", 4096 + (ulong)page, 1UL << 24 | (page == 0 ? KpfHead : KpfTail));
        }
        (byte[] nodes, HugePage[] pages) = ReadPages(_layout);
        Assert.Equal(HugePage.None, pages[0]);
        Assert.All(nodes, node => Assert.Equal(Residency.Absent, node));
    }

    [Fact]
    public void Without_the_right_to_know_there_are_none()
    {
        for (int page = 0; page < 512; page++)
        {
            Page(page, Anonymous | (4096 + (ulong)page));
            Page(512 + page, Anonymous); // hidden
            _kernel.Add(Hva + ((4096 + (ulong)page) * 4096), new ModelFolio { Node = 1 });
        }
        File.Delete(_tree.PathOf("proc/kpageflags"));
        Assert.Equal([HugePage.None, HugePage.None], ReadPages(_layout).Pages);
        Assert.Throws<ArgumentException>(() => NewReader().Read(Pid, _layout, 0, new byte[1024], new HugePage[1]));
        Assert.Throws<ArgumentException>(() => NewReader().Read(Pid, _layout, 512, new byte[512], new HugePage[2]));
    }

    private void HugePageAt(int place, ulong frame, ulong flags)
    {
        ulong[] all = new ulong[512];
        Array.Fill(all, (flags & ~KpfHead) | KpfTail);
        all[place] = flags;
        _tree.Words("proc/kpageflags", frame, all);
    }

    private (byte[] Nodes, HugePage[] Pages) ReadPages(GuestLayout layout)
    {
        byte[] nodes = new byte[layout.PageCount];
        HugePage[] pages = new HugePage[layout.PageCount / 512];
        Array.Fill(pages, HugePage.Torn); // what was before does not matter
        NewReader().Read(Pid, layout, 0, nodes, pages);
        return (nodes, pages);
    }

    private ResidencyReader NewReader() => new(_kernel, _tree.PathOf("proc"), _tree.PathOf("sys"));

    private byte[] Read()
    {
        var nodes = new byte[_layout.PageCount];
        NewReader().Read(Pid, _layout, 0, nodes);
        return nodes;
    }

    private void Page(int index, ulong entry) =>
        _tree.Words($"proc/{Pid}/pagemap", _layout.HvaOf(index) / PageSizes.PageBytes, entry);
}
