// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

public sealed class RoundHabitTests
{
    private const ulong All = ulong.MaxValue;
    private readonly RoundHabit _habit = new(128);

    [Fact]
    public void What_every_harvest_found_is_missed_and_what_none_found_is_new()
    {
        Round([0b0111, All], [0b0011, All], [0b1011, All]);
        Assert.Equal(0, _habit.CountChanged([0b0011, All]));
        Assert.Equal(0, _habit.CountChanged([0b1111, All])); // some of them found it
        Assert.Equal(1, _habit.CountChanged([0b0001, All]));
        Assert.Equal(2, _habit.CountChanged([0b11_0011, All]));
        Assert.Equal(66, _habit.CountChanged([0b11_0011, 0]));
    }

    [Fact]
    public void Only_the_last_round_counts()
    {
        Round([All, 0], [All, 0]);
        Round([0, 1]);
        Assert.Equal(0, _habit.CountChanged([0, 1]));
        Assert.Equal(65, _habit.CountChanged([All, 0]));
    }

    [Fact]
    public void A_part_of_an_interval_and_its_rest_are_together_what_a_harvest_is()
    {
        _habit.Observe([0b11, 0]);
        _habit.ObservePart([0b11, 1]);
        _habit.Observe([0b01, 0]);
        _habit.End();
        Assert.Equal(0, _habit.CountChanged([0b11, 1]));
        Assert.Equal(0, _habit.CountChanged([0b01, 0]));
    }

    private void Round(params ulong[][] harvests)
    {
        foreach (ulong[] accessed in harvests)
            _habit.Observe(accessed);
        _habit.End();
    }
}
