// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Migration;

namespace VirtTier.Memory.Tests.Migration;

public sealed class DriftTests
{
    private const int Pages = 700;
    private readonly Drift _drift = new(TimeProvider.System, TimeSpan.FromMinutes(5), Pages);
    private readonly byte[] _nodes = new byte[Pages];

    // Within a word, over a border of words, whole words, a block.
    [Theory]
    [InlineData(3, 1)]
    [InlineData(60, 10)]
    [InlineData(64, 128)]
    [InlineData(63, 130)]
    [InlineData(0, 512)]
    public void Exactly_the_pages_of_a_run_are_placed(int first, int count)
    {
        _drift.Place(first, count, 1);
        _nodes.AsSpan(first, count).Fill(1);
        Assert.Equal(0, _drift.Observe(0, _nodes));

        // Taken over to node 0 by us, but the first and last page: both are noticed when they turn up there, and no others.
        if (count > 2)
            _drift.Place(first + 1, count - 2, 0);
        _nodes.AsSpan().Clear();
        Assert.Equal(Math.Min(count, 2), _drift.Observe(0, _nodes));
    }
}
