// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Numa;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>A NUMA cell of a guest, as its definition has it.</summary>
/// <param name="Id">Its number in the guest.</param>
/// <param name="Vcpus">Its virtual CPUs.</param>
/// <param name="Pages">Its memory.</param>
internal sealed record GuestCell(int Id, IReadOnlyList<int> Vcpus, long Pages)
{
    private const ulong FirstGfnAbove = (4UL << 30) / PageSizes.PageBytes;

    /// <summary>The host's nodes that its memory is limited to (a strict or restrictive memnode); null for no limit.</summary>
    public IReadOnlyList<int>? Limit { get; init; }

    /// <summary>The host's nodes where it is to be if possible (a preferred or interleaving one); none without a wish.</summary>
    public IReadOnlyList<int> Wish { get; init; } = [];

    /// <summary>Memory of it that was plugged in: guest frame numbers, first and one past the last.</summary>
    public IReadOnlyList<(ulong First, ulong End)> Devices { get; init; } = [];

    /// <summary>Whether it is to be on all of these alike.</summary>
    public bool IsSpread { get; init; }

    /// <summary>The cells of a guest, in the order of their memory; none for a guest without, or one whose definition makes no
    /// sense here.</summary>
    public static IReadOnlyList<GuestCell> ReadAll(NumaHints numa)
    {
        ILookup<string, string[]> devices = Split(numa.CellDevices).ToLookup(device => device[0]);
        List<GuestCell> cells = [];
        foreach (string[] parts in Split(numa.Cells))
        {
            if (parts is not [string id, string cpus, string size]
                || !int.TryParse(id, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                || !long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes)
                || ParseList(cpus) is not { } vcpus)
                return [];
            GuestCell cell = new(number, vcpus, kibibytes * 1024 / PageSizes.PageBytes)
            {
                Devices = [.. devices[id].Select(device => Frames(device[1], device[2]))],
            };
            cells.Add(cell.With(Split(numa.CellNodes).FirstOrDefault(nodes => nodes.Length == 3 && nodes[0] == id)));
        }
        return cells;
    }

    /// <summary>The pages of each cell: runs of page indexes, first and one past the last.</summary>
    /// <remarks>QEMU lays the cells' memory one after the other from address 0 up, and leaves out a hole that ends at 4 GiB,
    /// where devices are. What is plugged in later lies behind all cells, each device where libvirt says; one of which it does
    /// not say that is of no cell.</remarks>
    public static IEnumerable<(int First, int End, GuestCell Cell)> Place(IReadOnlyList<GuestCell> cells, GuestLayout layout)
    {
        if (layout.GfnRanges is not [{ FirstGfn: 0 } low, ..])
            yield break;
        ulong begin = 0;
        foreach (GuestCell cell in cells)
        {
            ulong end = begin + (ulong)cell.Pages;
            ulong lowEnd = Math.Min(low.EndGfn, FirstGfnAbove);
            if (begin < lowEnd)
                yield return (layout.IndexOf(begin), IndexBehind(Math.Min(end, lowEnd)), cell);
            if (end > lowEnd)
            {
                int first = layout.IndexOf(FirstGfnAbove + Math.Max(begin, lowEnd) - lowEnd);
                if (first >= 0)
                    yield return (first, IndexBehind(FirstGfnAbove + end - lowEnd), cell);
            }
            begin = end;
        }
        foreach (GuestCell cell in cells)
        {
            foreach ((ulong first, ulong last) in cell.Devices)
            {
                // A device may be there in part only, and in several pieces: a virtio-mem grows.
                foreach (GfnRange range in layout.GfnRanges)
                {
                    (ulong from, ulong to) = (Math.Max(first, range.FirstGfn), Math.Min(last, range.EndGfn));
                    if (from < to)
                        yield return (layout.IndexOf(from), layout.IndexOf(to - 1) + 1, cell);
                }
            }
        }

        // A page that is there, and the one behind it.
        int IndexBehind(ulong gfn)
        {
            int last = layout.IndexOf(gfn - 1);
            return last >= 0 ? last + 1 : layout.PageCount;
        }
    }

    private static (ulong First, ulong End) Frames(string address, string kibibytes)
    {
        ulong first = ulong.Parse(address, CultureInfo.InvariantCulture) / PageSizes.PageBytes;
        return (first, first + (ulong.Parse(kibibytes, CultureInfo.InvariantCulture) * 1024 / PageSizes.PageBytes));
    }

    private GuestCell With(string[]? nodes)
    {
        if (nodes is not [_, string mode, string list] || ParseList(list) is not { Count: > 0 } set)
            return this;
        return mode is "strict" or "restrictive"
            ? this with { Limit = set }
            : this with { Wish = set, IsSpread = mode == "interleave" };
    }

    private static IEnumerable<string[]> Split(string? text) =>
        (text ?? "").Split(';', StringSplitOptions.RemoveEmptyEntries).Select(part => part.Split(':'));

    /// <summary>Reads libvirt's list of nodes or CPUs; null for one that cannot be read, such as an exclusion.</summary>
    internal static IReadOnlyList<int>? ParseList(string? list)
    {
        try
        {
            return list is null ? null : NodeList.Parse(list);
        }
        catch (FormatException)
        {
            return null;
        }
    }
}
