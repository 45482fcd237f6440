// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Simulation;

/// <summary>What a synthetic guest does.</summary>
public enum Habit
{
    /// <summary>Few units popular, many rare, for ever the same.</summary>
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

/// <summary>A guest that touches its 2 MiB units as its <see cref="Habit"/> has it: the same ones each time, from a seed.</summary>
internal sealed class SyntheticGuest(Habit habit, int units, int seed)
{
    private const int RoundsOfGrowth = 40;
    private const int RoundsOfHotSet = 10;

    private readonly Random _random = new(seed);
    private int _next;

    public Habit Habit => habit;

    /// <summary>Units that the guest touches in one harvest, one after the other.</summary>
    public IEnumerable<int> Touches(int round)
    {
        int accesses = habit switch
        {
            Habit.Idle => units / 500,
            Habit.Bursts => round % 8 < 3 ? units / 4 : units / 500,
            _ => units / 4,
        };
        for (int i = 0; i < accesses; i++)
            yield return Touch(round);
    }

    private int Touch(int round)
    {
        switch (habit)
        {
            case Habit.ShiftingHotSet:
                return (Skewed(units / 6) + (round / RoundsOfHotSet * (units / 12))) % units;
            case Habit.Scan:
                return _next++ % units;
            case Habit.Loop:
                return _next++ % (units / 3);
            case Habit.Stream:
                return _random.Next(2) == 0 ? Skewed(units / 10) : (units / 10) + (_next++ % (units - (units / 10)));
            case Habit.Growing:
                int size = Math.Min(units, (units / 10) + (int)((long)units * round / RoundsOfGrowth));
                return size - 1 - Skewed(size);
            default:
                return Skewed(units);
        }
    }

    // Popularity falls with the number: half of the accesses go to an eighth of the units.
    private int Skewed(int count)
    {
        double chance = _random.NextDouble();
        return (int)(count * chance * chance * chance);
    }
}
