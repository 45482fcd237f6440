// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Primitives;

/// <summary>
/// The sizes in which memory is counted. A page is 4 KiB. A block is 2 MiB: 512 pages, at a multiple of 512, which the
/// second-level table can map as one.
/// </summary>
public static class PageSizes
{
    /// <summary>Bytes of a page.</summary>
    public const int PageBytes = 4096;

    /// <summary>Pages of a block.</summary>
    public const int BlockPages = 512;

    /// <summary>Bytes of a block.</summary>
    public const int BlockBytes = BlockPages * PageBytes;
}
