// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Memory.Pagemap;

/// <summary>Looks whether the frames of a block lie as those of a 2 MiB page do: beside each other, at a multiple of
/// 512.</summary>
internal struct HugePageProbe
{
    private const ulong Frames = PageSizes.BlockPages;

    private ulong _first; // frame of the huge page; 0 for none
    private int _inside;
    private int _backed;

    /// <summary>The frame at which there may be one; 0 if there is none. Two pages that lie so are hardly so by chance.</summary>
    public readonly ulong FirstFrame => _inside > 1 ? _first : 0;

    /// <summary>Whether all that was added lies in it.</summary>
    public readonly bool IsWhole => _inside == _backed;

    /// <summary>Adds a page of the block with memory behind it.</summary>
    /// <param name="offset">Its place in the block, 0 to 511.</param>
    /// <param name="frame">Its frame; 0 if it is absent or not known.</param>
    public void Add(int offset, ulong frame)
    {
        _backed++;
        if (frame <= (ulong)offset)
            return;
        ulong first = frame - (ulong)offset;
        if (first == _first)
            _inside++;
        else if (_first == 0 && first % Frames == 0)
            (_first, _inside) = (first, 1);
    }
}
