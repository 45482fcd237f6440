// SPDX-License-Identifier: Apache-2.0
using System.Numerics;

namespace VirtTier.Tiering.Planning;

/// <summary>
/// What the harvests of a round found accessed, to tell from a single harvest later whether the guest still does the same. Two
/// bits a page.
/// </summary>
/// <param name="pages">4 KiB pages of the guest, a multiple of 64.</param>
public sealed class RoundHabit(int pages)
{
    private readonly ulong[] _ever = new ulong[pages / 64];
    private readonly ulong[] _always = new ulong[pages / 64];
    private bool _ended = true;

    /// <summary>Takes a harvest of the running round; the first one after <see cref="End"/> begins a round.</summary>
    /// <param name="accessed">One bit a page.</param>
    public void Observe(ReadOnlySpan<ulong> accessed)
    {
        if (_ended)
        {
            accessed.CopyTo(_ever);
            accessed.CopyTo(_always);
            _ended = false;
            return;
        }
        for (int word = 0; word < _ever.Length; word++)
        {
            _ever[word] |= accessed[word];
            _always[word] &= accessed[word];
        }
    }

    /// <summary>Takes a harvest of a part of an interval, of which the next harvest is the rest.</summary>
    /// <param name="accessed">One bit a page.</param>
    public void ObservePart(ReadOnlySpan<ulong> accessed)
    {
        for (int word = 0; word < _ever.Length; word++)
            _ever[word] |= accessed[word];
    }

    /// <summary>Ends the round.</summary>
    public void End() => _ended = true;

    /// <summary>
    /// Pages that a harvest finds otherwise than the round did that ended last: accessed, and not in all of that round, or not
    /// accessed, and in each harvest of that round. What was accessed in some of its harvests says nothing either way.
    /// </summary>
    /// <param name="accessed">One bit a page, of as long as a harvest of the round.</param>
    public long CountChanged(ReadOnlySpan<ulong> accessed)
    {
        long changed = 0;
        for (int word = 0; word < _ever.Length; word++)
            changed += BitOperations.PopCount((accessed[word] & ~_ever[word]) | (_always[word] & ~accessed[word]));
        return changed;
    }
}
