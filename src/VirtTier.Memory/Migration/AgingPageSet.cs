// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Migration;

/// <summary>
/// A set of pages that leave it by themselves after a while. Two bitmaps take turns, so that a page stays for one to two
/// periods at the cost of two bits a page (a guest with a passed-through device may have all of its memory pinned).
/// </summary>
internal sealed class AgingPageSet
{
    private readonly TimeProvider _time;
    private readonly TimeSpan _period;
    private readonly int _pageCount;
    private ulong[]? _current;
    private ulong[]? _previous;
    private long _turned;

    public AgingPageSet(TimeProvider time, TimeSpan period, int pageCount)
    {
        _time = time;
        _period = period;
        _pageCount = pageCount;
        _turned = time.GetTimestamp();
    }

    public void Add(int index)
    {
        Turn();
        _current ??= new ulong[(_pageCount + 63) / 64];
        _current[index / 64] |= 1UL << (index % 64);
    }

    // Asked of every page that is to move, and nearly always false: the clock is read only where it matters.
    public bool Contains(int index)
    {
        if (!IsIn(index))
            return false;
        Turn();
        return IsIn(index);
    }

    private bool IsIn(int index) => IsSet(_current, index) || IsSet(_previous, index);

    private static bool IsSet(ulong[]? bitmap, int index) =>
        bitmap is not null && (bitmap[index / 64] & (1UL << (index % 64))) != 0;

    private void Turn()
    {
        TimeSpan passed = _time.GetElapsedTime(_turned);
        if (passed < _period)
            return;
        _previous = passed < 2 * _period ? _current : null;
        _current = null;
        _turned = _time.GetTimestamp();
    }
}
