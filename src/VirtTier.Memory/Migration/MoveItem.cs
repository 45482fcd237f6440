// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>One address to be moved, and the pages asked for that move with it.</summary>
/// <param name="Index">The page index whose address is passed: the first of a 2 MiB mapping.</param>
/// <param name="Pages">4 KiB pages that it moves: 1 or 512.</param>
/// <param name="FirstAsked">Position of the first page of the request that it answers.</param>
/// <param name="AskedCount">How many it answers.</param>
internal readonly record struct MoveItem(int Index, int Pages, int FirstAsked, int AskedCount)
{
    /// <summary>Whether it is a 2 MiB mapping.</summary>
    public bool IsLarge => Pages > 1;

    /// <summary>Whether it begins where <paramref name="earlier"/> ends, in the guest and in the request.</summary>
    public bool Follows(MoveItem earlier) =>
        Index == earlier.Index + earlier.Pages && FirstAsked == earlier.FirstAsked + earlier.AskedCount;

    /// <summary>The item that begins at position <paramref name="first"/> of a request: neighbours in the list that are of one 2 MiB
    /// mapping are one.</summary>
    public static MoveItem At(int first, ReadOnlySpan<int> pages, ReadOnlySpan<MappingSize> sizes)
    {
        int unit = pages[first] / PageSizes.BlockPages;
        if (unit >= sizes.Length || sizes[unit] < MappingSize.Size2M)
            return new MoveItem(pages[first], 1, first, 1);
        int next = first + 1;
        while (next < pages.Length && pages[next] / PageSizes.BlockPages == unit)
            next++;
        return new MoveItem(unit * PageSizes.BlockPages, PageSizes.BlockPages, first, next - first);
    }
}
