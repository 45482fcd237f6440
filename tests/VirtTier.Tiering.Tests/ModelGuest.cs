// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Tiering.Tests;

/// <summary>
/// A guest and its kernel in small: pages are born in DRAM whatever the budget, accessed bits are harvested, plans are
/// carried out in order. Every plan is checked against what a planner must never do.
/// </summary>
internal sealed class ModelGuest
{
    private readonly ulong[] _accessed;
    private readonly MappingSize[] _sizes;
    private readonly byte[] _residency;
    private int _leftFast;

    public ModelGuest(int pages, bool hugePages = false, int seed = 1, bool sampled = false)
    {
        Planner = new PlacementPlanner(pages, sampled);
        Random = new Random(seed);
        _accessed = new ulong[pages / 64];
        _sizes = new MappingSize[pages / 512];
        _residency = new byte[pages];
        Array.Fill(_residency, Residency.Absent);
        Array.Fill(_sizes, hugePages ? MappingSize.Size2M : MappingSize.Size4K);
    }

    public PlacementPlanner Planner { get; }

    public MovePlan Plan { get; } = new();

    public Random Random { get; }

    public Span<byte> Residencies => _residency;

    public Span<MappingSize> Sizes => _sizes;

    public int Fast => Count(Residency.Fast);

    public int Slow => Count(Residency.Slow);

    public long Moved { get; private set; }

    /// <summary>Largest number of fast pages seen since it was last set to 0.</summary>
    public int PeakFast { get; set; }

    public void Touch(int page)
    {
        (int first, int count) = UnitOf(page);
        for (int i = first; i < first + count; i++)
        {
            _accessed[i / 64] |= 1UL << (i % 64);
            if (_residency[i] == Residency.Absent)
                _residency[i] = Residency.Fast;
        }
    }

    public void Touch(Range pages)
    {
        (int offset, int length) = pages.GetOffsetAndLength(_residency.Length);
        for (int page = offset; page < offset + length; page++)
            Touch(page);
    }

    public void Harvest()
    {
        PeakFast = Math.Max(PeakFast, Fast);
        Planner.Observe(_accessed, _sizes);
        Array.Clear(_accessed);
    }

    public void EndRound(long budget, long maxMoves = long.MaxValue)
    {
        Planner.EndRound(_residency, budget, maxMoves, Plan);
        CarryOut(maxMoves);
        PeakFast = Math.Max(PeakFast, Fast);
    }

    /// <summary>Makes room within a round, for as many fast pages as there should be by what is known of the
    /// last decision and of births.</summary>
    public void RestoreHeadroom()
    {
        long known = _leftFast + Planner.BornPages;
        Planner.RestoreHeadroom(Fast, Plan);
        if (_leftFast > 0)
            Assert.Equal(Fast, known);
        Assert.Equal(0, Plan.PromotedPages);
        int fast = Fast;
        Move(Plan.Demotions.Span, Residency.Fast, Residency.Slow, ref fast, atMost: long.MaxValue);
        Moved += Plan.DemotedPages;
        _leftFast -= (int)Plan.DemotedPages;
    }

    /// <summary>Rounds of four harvests, in each of which the guest does the same.</summary>
    public void Run(int rounds, long budget, Action access, long maxMoves = long.MaxValue)
    {
        for (int round = 0; round < rounds; round++)
        {
            for (int harvest = 0; harvest < 4; harvest++)
            {
                access();
                Harvest();
                if (Planner.DecisionSpacing < 1 && harvest < 3)
                    RestoreHeadroom();
            }
            EndRound(budget, maxMoves);
        }
    }

    /// <summary>Fast pages among these, as a share of them.</summary>
    public double ShareFast(Range pages)
    {
        ReadOnlySpan<byte> span = _residency.AsSpan(pages);
        return (double)span.Count(Residency.Fast) / span.Length;
    }

    private int Count(byte residency) =>
        _residency.AsSpan().Count(residency) + _residency.AsSpan().Count((byte)(residency | Residency.Immovable));

    private (int First, int Count) UnitOf(int page) =>
        _sizes[page / 512] == MappingSize.Size2M ? (page / 512 * 512, 512) : (page, 1);

    private void CarryOut(long maxMoves)
    {
        Assert.Equal(Fast, Plan.FastPages);
        Assert.Equal(Slow, Plan.SlowPages);
        Assert.Equal(
            _residency.Length,
            Plan.FastPages + Plan.SlowPages + Plan.AbsentPages + _residency.AsSpan().Count(Residency.Apart));
        Assert.True(Plan.DemotedPages + Plan.PromotedPages <= maxMoves, "the plan moves more than it may");

        int fast = Fast;
        Move(Plan.Demotions.Span, Residency.Fast, Residency.Slow, ref fast, atMost: long.MaxValue);
        Move(Plan.Promotions.Span, Residency.Slow, Residency.Fast, ref fast, Plan.TargetPages);
        Moved += Plan.DemotedPages + Plan.PromotedPages;
        _leftFast = Fast;
        Assert.Equal(Fast, Plan.FastPages - Plan.DemotedPages + Plan.PromotedPages);
    }

    private void Move(ReadOnlySpan<PageRun> runs, byte from, byte to, ref int fast, long atMost)
    {
        foreach (PageRun run in runs)
        {
            Assert.Equal(UnitOf(run.First), (run.First, run.Count));
            Span<byte> pages = _residency.AsSpan(run.First, run.Count);
            Assert.False(pages.ContainsAnyExcept(from), $"page {run.First} is not where the plan believes it");
            pages.Fill(to);
            fast += to == Residency.Fast ? run.Count : -run.Count;
            // Less than half a block of headroom keeps no block out.
            bool isBlockToFast = run.IsBlock && to == Residency.Fast;
            long most = isBlockToFast ? Math.Min(Plan.BudgetPages, atMost + (PageSizes.BlockPages / 2)) : atMost;
            Assert.True(fast <= most, $"{fast} fast pages while the plan is carried out; the target is {most}");
        }
    }
}
