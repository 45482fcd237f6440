// SPDX-License-Identifier: Apache-2.0
using BenchmarkDotNet.Attributes;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Microbench;

/// <summary>A planning round of 4 GiB with DRAM for a fifth: one harvest, the plan, and its moves done. What is in use wanders,
/// so that every round has moves.</summary>
public class PlanBench
{
    private const int Pages = HarvestBench.Pages;
    private const int WindowWords = Pages / 64 / 10;

    private readonly PlacementPlanner _planner = new(Pages);
    private readonly MovePlan _plan = new();
    private readonly byte[] _residency = new byte[Pages];
    private readonly ulong[] _accessed = new ulong[Pages / 64];
    private readonly MappingSize[] _sizes = new MappingSize[Pages / PageSizes.BlockPages];
    private int _window;

    public PlanBench()
    {
        Array.Fill(_residency, Residency.Slow);
        Array.Fill(_sizes, MappingSize.Size4K);
    }

    // A round allocates a few KiB.
    [Benchmark]
    [BytesPerPage(Pages, 0.01)]
    public void Round()
    {
        Array.Clear(_accessed);
        _window = (_window + 16) % (_accessed.Length - WindowWords);
        _accessed.AsSpan(_window, WindowWords).Fill(ulong.MaxValue);
        _planner.Observe(_accessed, _sizes);
        _planner.EndRound(_residency, Pages / 5, maxMoves: 50_000, _plan);
        foreach (PageRun run in _plan.Demotions.Span)
            _residency.AsSpan(run.First, run.Count).Fill(Residency.Slow);
        foreach (PageRun run in _plan.Promotions.Span)
            _residency.AsSpan(run.First, run.Count).Fill(Residency.Fast);
    }
}
