// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Memory.Layout;

/// <summary>A run of guest frames that has a run of page indexes. All three numbers are multiples of 512 (2 MiB).</summary>
/// <param name="FirstGfn">Its first guest frame number.</param>
/// <param name="FirstIndex">The page index of that frame.</param>
/// <param name="PageCount">Its length in 4 KiB pages.</param>
public readonly record struct GfnRange(ulong FirstGfn, int FirstIndex, int PageCount)
{
    /// <summary>One past its last guest frame number.</summary>
    public ulong EndGfn => FirstGfn + (ulong)PageCount;

    /// <summary>One past its last page index.</summary>
    public int EndIndex => FirstIndex + PageCount;

    internal void CheckWithin(int pageCount)
    {
        if ((FirstIndex | PageCount) % PageSizes.BlockPages != 0 || FirstGfn % PageSizes.BlockPages != 0)
            throw new ArgumentException($"{this} is not in whole blocks of 2 MiB (multiples of {PageSizes.BlockPages} pages)");
        if (FirstIndex < 0 || PageCount <= 0 || EndIndex > pageCount)
            throw new ArgumentException(
                $"{this} is not within the buffers' {pageCount} pages: were they made for another layout?");
    }
}

/// <summary>A run of page indexes with memory behind it: one memslot, or the part of one that no other claims.</summary>
/// <param name="FirstIndex">Its first page index.</param>
/// <param name="PageCount">Its length in 4 KiB pages.</param>
/// <param name="Hva">Address of the first page in the process that runs the guest.</param>
public readonly record struct BackedRange(int FirstIndex, int PageCount, ulong Hva)
{
    /// <summary>One past its last page index.</summary>
    public int EndIndex => FirstIndex + PageCount;

    /// <summary>Whether a page index is in it.</summary>
    public bool Contains(int index) => index >= FirstIndex && index - FirstIndex < PageCount;

    /// <summary>Where one of its pages lies in that process.</summary>
    public ulong HvaOf(int index) => Hva + ((ulong)(index - FirstIndex) * PageSizes.PageBytes);
}
