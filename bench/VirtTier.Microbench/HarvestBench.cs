// SPDX-License-Identifier: Apache-2.0
using BenchmarkDotNet.Attributes;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Microbench;

/// <summary>The planner takes in one harvest of 4 GiB in 4 KiB pages, a fiftieth of them accessed.</summary>
public class HarvestBench
{
    internal const int Pages = 1 << 20;

    private readonly PlacementPlanner _planner = new(Pages);
    private readonly ulong[] _accessed = new ulong[Pages / 64];
    private readonly MappingSize[] _sizes = new MappingSize[Pages / PageSizes.BlockPages];

    public HarvestBench()
    {
        Array.Fill(_sizes, MappingSize.Size4K);
        for (int word = 0; word < _accessed.Length; word += 50)
            _accessed[word] = ulong.MaxValue;
    }

    [Benchmark]
    [BytesPerPage(Pages, 0.001)]
    public void Observe() => _planner.Observe(_accessed, _sizes);
}
