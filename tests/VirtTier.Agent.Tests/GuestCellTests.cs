// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Layout;

namespace VirtTier.Agent.Tests;

/// <summary>The NUMA cells of a guest, and which of its pages are theirs.</summary>
public sealed class GuestCellTests
{
    private const ulong Hva = 0x7f00_0000_0000;

    [Fact]
    public void Cells_lie_one_after_the_other_around_the_hole_below_4_GiB_and_devices_are_of_none()
    {
        GuestLayout layout = GuestLayout.FromMemslots(
        [
            new Memslot(0, Hva, 2048), new Memslot(0xfd000000, 2 * Hva, 4096), new Memslot(4UL << 30, Hva + (2048 * 4096), 2048),
            new Memslot(5UL << 30, 3 * Hva, 512), // plugged in later
        ]);
        IReadOnlyList<GuestCell> cells = GuestCell.ReadAll(NumaHints.None with { Cells = "0:0:4096;1:1-2:12288" });

        Assert.Equal([(0, 1024, 0), (1024, 2048, 1), (6144, 8192, 1)],
            GuestCell.Place(cells, layout).Select(part => (part.First, part.End, part.Cell.Id)));
    }

    [Fact]
    public void What_was_plugged_in_is_of_the_cell_that_it_is_plugged_into_as_far_as_it_is_there()
    {
        const ulong Above = 4UL << 30, Block = 512 * 4096;
        GuestLayout layout = GuestLayout.FromMemslots(
        [
            new Memslot(0, Hva, 1024), new Memslot(Above, 2 * Hva, 512),
            new Memslot(Above + (2 * Block), 3 * Hva, 512), // a virtio-mem, in two pieces so far
            new Memslot(Above + (4 * Block), 4 * Hva, 512),
            new Memslot(Above + (8 * Block), 5 * Hva, 512), // of which nothing is said
        ]);
        NumaHints hints = NumaHints.None with
        {
            Cells = "0:0:2048;1:1:2048",
            CellDevices = $"1:{Above}:2048;0:{Above + (2 * Block)}:8192;7:{Above + (8 * Block)}:2048",
        };
        Assert.Equal([(0, 512, 0), (512, 1024, 1), (1536, 2048, 0), (2048, 2560, 0), (1024, 1536, 1)],
            GuestCell.Place(GuestCell.ReadAll(hints), layout).Select(part => (part.First, part.End, part.Cell.Id)));
    }

    [Fact]
    public void What_the_owner_says_of_a_cell_is_a_limit_or_a_wish()
    {
        NumaHints hints = NumaHints.None with
        {
            Cells = "0:0:8;1::8;2:2:8;3:3:8",
            CellNodes = "0:strict:0,2;1:preferred:1;2:interleave:0-1;7:strict:3",
        };
        GuestCell[] cells = [.. GuestCell.ReadAll(hints)];
        Assert.Equal([[0, 2], null, null, null], cells.Select(cell => cell.Limit));
        Assert.Equal([[], [1], [0, 1], []], cells.Select(cell => cell.Wish));
        Assert.Equal([false, false, true, false], cells.Select(cell => cell.IsSpread));
        Assert.Equal([1, 0, 1, 1], cells.Select(cell => cell.Vcpus.Count));
    }

    [Theory]
    [InlineData("0:0")]
    [InlineData("x:0:8")]
    [InlineData("0:0-:8")]
    [InlineData("0:0:-8")]
    [InlineData("0:0:8;1:^1:8")]
    public void Cells_that_make_no_sense_are_none(string cells) =>
        Assert.Empty(GuestCell.ReadAll(NumaHints.None with { Cells = cells }));
}
