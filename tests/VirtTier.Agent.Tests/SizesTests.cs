// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Tests;

public sealed class SizesTests
{
    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(96L << 20, "96 MiB")]
    [InlineData(3L << 29, "1.5 GiB")]
    [InlineData(12L << 40, "12 TiB")]
    public void Sizes_carry_the_unit_that_keeps_them_short(long bytes, string shown) => Assert.Equal(shown, Sizes.Show(bytes));
}
