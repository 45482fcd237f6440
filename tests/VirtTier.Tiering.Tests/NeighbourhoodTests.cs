// SPDX-License-Identifier: Apache-2.0
using VirtTier.Tiering.Heat;

namespace VirtTier.Tiering.Tests;

public sealed class NeighbourhoodTests
{
    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 0)]
    [InlineData(2, 1)]
    [InlineData(8, 2)]
    [InlineData(32, 3)]
    public void Class_follows_how_many_of_the_block_were_accessed(int accessed, int expected) =>
        Assert.Equal(expected, Neighbourhood.ClassOf(accessed));
}
