// SPDX-License-Identifier: Apache-2.0
using System.Numerics;
using VirtTier.Primitives;

namespace VirtTier.Tiering.Planning;

/// <summary>
/// What share of the moved pages had been moved the other way a few rounds before: moves that were for nothing, and that
/// cost the guest twice.
/// </summary>
/// <remarks>
/// It remembers single page runs, in a table of a fixed size. When more move than it can hold, it follows one in two, four,
/// eight, ... of them by a hash of their number, which estimates the same share.
/// </remarks>
internal sealed class PingPongMeter
{
    /// <summary>Rounds within which a page that moves back has come back: the memory of heat.</summary>
    public const int Window = 8;

    // A table of eight bytes for each 4 MiB, up to 128 KiB; filled to a quarter, few runs push out another.
    private const int PagesPerEntry = 1024;
    private const int FewestEntries = 64;
    private const int MostEntries = 16384;
    private const int RoomForEach = 4;

    // The share looks back over about as many rounds as a page has to come back.
    private const double Memory = 1 - (1.0 / Window);

    private readonly (int Page, int Move)[] _entries;
    private double _recentRuns;
    private double _moved;
    private double _cameBack;
    private int _round;

    /// <param name="pages">4 KiB pages of the domain.</param>
    public PingPongMeter(int pages) =>
        _entries = new (int, int)[Math.Clamp(
            (int)BitOperations.RoundUpToPowerOf2((uint)(pages / PagesPerEntry)), FewestEntries, MostEntries)];

    /// <summary>The share, 0..1, over the last rounds in which anything moved.</summary>
    public double Share => _moved > 0 ? _cameBack / _moved : 0;

    /// <summary>Takes in what a round's plan moves.</summary>
    public void Observe(MovePlan plan)
    {
        _round++;
        _recentRuns *= Memory;
        if (plan.Demotions.Length + plan.Promotions.Length > 0)
        {
            _moved *= Memory;
            _cameBack *= Memory;
        }
        ObserveWithin(plan);
    }

    /// <summary>Takes in what is moved within a round.</summary>
    public void ObserveWithin(MovePlan plan)
    {
        int runs = plan.Demotions.Length + plan.Promotions.Length;
        _recentRuns += runs;
        if (runs == 0)
            return;
        uint oneIn = BitOperations.RoundUpToPowerOf2((uint)Math.Ceiling(_recentRuns * RoomForEach / _entries.Length));
        Observe(plan.Demotions.Span, up: 0, oneIn);
        Observe(plan.Promotions.Span, up: 1, oneIn);
    }

    private void Observe(ReadOnlySpan<PageRun> runs, int up, uint oneIn)
    {
        foreach (PageRun run in runs)
        {
            // Low bits choose, high bits place.
            uint hash = Mix((uint)run.First);
            if ((hash & (oneIn - 1)) != 0)
                continue;
            ref (int Page, int Move) entry = ref _entries[(ulong)hash * (uint)_entries.Length >> 32];
            _moved += run.Count;
            if (entry.Page == run.First && entry.Move % 2 != up && entry.Move / 2 >= _round - Window && entry.Move > 0)
                _cameBack += run.Count;
            entry = (run.First, (_round * 2) + up);
        }
    }

    // The finalizer of MurmurHash3 (Appleby): every bit of the number changes every bit of the result about half the time.
    private static uint Mix(uint number)
    {
        number = unchecked((number ^ (number >> 16)) * 0x85ebca6b);
        number = unchecked((number ^ (number >> 13)) * 0xc2b2ae35);
        return number ^ (number >> 16);
    }
}
