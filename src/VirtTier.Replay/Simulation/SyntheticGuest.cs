// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Simulation;

/// <summary>What a synthetic guest does.</summary>
internal enum Habit
{
    /// <summary>Few blocks popular, many rare, for ever the same.</summary>
    Zipf,

    /// <summary>A hot set that moves on every ten rounds.</summary>
    ShiftingHotSet,

    /// <summary>One sweep after another over all memory.</summary>
    Scan,

    /// <summary>A loop over a third of the memory.</summary>
    Loop,

    /// <summary>Data streamed past a steady core.</summary>
    Stream,

    /// <summary>Busy for a few rounds, then quiet for more.</summary>
    Bursts,

    /// <summary>Hardly anything.</summary>
    Idle,

    /// <summary>Memory that grows, the young part the busiest.</summary>
    Growing,
}

/// <summary>A guest that touches its blocks as its <see cref="Habit"/> has it: the same ones each time, from a seed.</summary>
internal sealed class SyntheticGuest(Habit habit, int blocks, int seed)
{
    private const int RoundsOfGrowth = 40;
    private const int RoundsOfHotSet = 10;

    private readonly Random _random = new(seed);
    private int _next;

    public Habit Habit => habit;

    /// <summary>Blocks that the guest touches in one harvest, one after the other.</summary>
    public IEnumerable<int> Touches(int round)
    {
        int accesses = habit switch
        {
            Habit.Idle => blocks / 500,
            Habit.Bursts => round % 8 < 3 ? blocks / 4 : blocks / 500,
            _ => blocks / 4,
        };
        for (int i = 0; i < accesses; i++)
            yield return Touch(round);
    }

    private int Touch(int round)
    {
        switch (habit)
        {
            case Habit.ShiftingHotSet:
                return (Skewed(blocks / 6) + (round / RoundsOfHotSet * (blocks / 12))) % blocks;
            case Habit.Scan:
                return _next++ % blocks;
            case Habit.Loop:
                return _next++ % (blocks / 3);
            case Habit.Stream:
                return _random.Next(2) == 0 ? Skewed(blocks / 10) : (blocks / 10) + (_next++ % (blocks - (blocks / 10)));
            case Habit.Growing:
                int size = Math.Min(blocks, (blocks / 10) + (int)((long)blocks * round / RoundsOfGrowth));
                return size - 1 - Skewed(size);
            default:
                return Skewed(blocks);
        }
    }

    // Popularity falls with the number: half of the accesses go to an eighth of the blocks.
    private int Skewed(int count)
    {
        double chance = _random.NextDouble();
        return (int)(count * chance * chance * chance);
    }
}
