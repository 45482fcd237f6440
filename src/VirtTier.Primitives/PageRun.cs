// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Primitives;

/// <summary>Pages that move in one piece: one page, or one block.</summary>
/// <param name="First">Page index of the first.</param>
/// <param name="Count">Pages: 1, or <see cref="PageSizes.BlockPages"/>.</param>
public readonly record struct PageRun(int First, int Count)
{
    /// <summary>Whether it is a block: one 2 MiB mapping.</summary>
    public bool IsBlock => Count == PageSizes.BlockPages;

    /// <summary>One past the page index of the last.</summary>
    public int End => First + Count;
}
