// SPDX-License-Identifier: Apache-2.0
using System.Numerics;
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>
/// Where pages were last moved to, one bit a page and node, to notice when someone else moves them on: NUMA balancing, the
/// kernel's own tiering, another tool, or a move of a neighbour in the same large folio.
/// </summary>
internal sealed class Drift(TimeProvider time, TimeSpan asideFor, int pageCount)
{
    // By node; null for nodes that nothing was moved to. Every page that moves is noted, so this is kept cheap.
    private ulong[]?[] _placedOn = [];
    private readonly AgingPageSet _drifted = new(time, asideFor, pageCount);
    private readonly AgingPageSet _contested = new(time, asideFor, pageCount);

    /// <summary>True if others have moved the page twice in a short time.</summary>
    public bool IsContested(int index) => _contested.Contains(index);

    /// <summary>Notes that pages were moved to a node.</summary>
    public void Place(int firstIndex, int count, int node)
    {
        if (_placedOn.Length <= node)
            Array.Resize(ref _placedOn, node + 1);
        _placedOn[node] ??= new ulong[(pageCount + 63) / 64];
        for (int other = 0; other < _placedOn.Length; other++)
        {
            if (_placedOn[other] is { } placed)
                Mark(placed, firstIndex, count, other == node);
        }
    }

    /// <summary>Compares with where the pages are now, and returns how many are on another node than
    /// they were placed on.</summary>
    public long Observe(int firstIndex, ReadOnlySpan<byte> nodes)
    {
        long drifted = 0;
        for (int node = 0; node < _placedOn.Length; node++)
        {
            if (_placedOn[node] is not { } placed)
                continue;
            int end = firstIndex + nodes.Length;
            for (int word = firstIndex / 64; word * 64 < end; word++)
            {
                for (ulong bits = placed[word]; bits != 0; bits &= bits - 1)
                {
                    int index = (word * 64) + BitOperations.TrailingZeroCount(bits);
                    if (index < firstIndex || index >= end || nodes[index - firstIndex] == node)
                        continue;
                    placed[word] &= ~(1UL << (index % 64));
                    if (nodes[index - firstIndex] == Residency.Absent)
                        continue;
                    drifted++;
                    (_drifted.Contains(index) ? _contested : _drifted).Add(index);
                }
            }
        }

        return drifted;
    }

    /// <summary>Sets or clears a run of bits, word by word.</summary>
    private static void Mark(ulong[] bits, int first, int count, bool value)
    {
        for (int end = first + count; first < end;)
        {
            int length = Math.Min(64 - (first % 64), end - first);
            ulong mask = ulong.MaxValue >> (64 - length) << (first % 64);
            bits[first / 64] = value ? bits[first / 64] | mask : bits[first / 64] & ~mask;
            first += length;
        }
    }
}
