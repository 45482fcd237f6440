// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Traces;

/// <summary>Draws pages of which the k-th most popular is accessed in proportion to 1 / k^exponent;
/// popularity is strewn over the addresses.</summary>
internal sealed class ZipfSampler
{
    private readonly double[] _cumulative;
    private readonly int[] _pageOfRank;
    private readonly Random _random;

    public ZipfSampler(int pages, double exponent, Random random)
    {
        _random = random;
        _cumulative = new double[pages];
        double sum = 0;
        for (int rank = 0; rank < pages; rank++)
            _cumulative[rank] = sum += Math.Pow(rank + 1, -exponent);
        _pageOfRank = [.. Enumerable.Range(0, pages)];
        random.Shuffle(_pageOfRank);
    }

    public int Next()
    {
        int rank = Array.BinarySearch(_cumulative, _random.NextDouble() * _cumulative[^1]);
        return _pageOfRank[rank < 0 ? ~rank : rank];
    }
}
