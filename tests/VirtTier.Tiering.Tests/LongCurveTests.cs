// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.History;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

public sealed class LongCurveTests
{
    private readonly LongCurve _long = new();

    [Fact]
    public void Of_one_curve_it_is_that_curve_and_never_less_DRAM()
    {
        // 1,000 pages get 900 accesses of 1,000, 99,000 pages the rest.
        DramCurve curve = new([(1000, 0.9), (99_000, 100 / 99_000.0)], error: 0.02);
        _long.Add(curve, 60);
        Assert.Equal((60, 0.02), (_long.Seconds, Math.Round(_long.Error!.Value, 6)));
        foreach (long pages in (long[])[0, 700, 1000, 1100, 50_000, 100_000])
            Assert.InRange(_long.SlowShare(pages), curve.SlowShare(pages) - 1e-9, curve.SlowShare(pages) + 0.05);
        Assert.Equal(1, _long.SlowShare(0));
        Assert.Equal(0, _long.SlowShare(100_000));

        // With 950 of the fast accesses served: 1,000 pages and half of the others.
        Assert.InRange(_long.PagesFor(0.05), 50_000, 55_000);
        Assert.InRange(_long.PagesFor(0.01), 90_000, 100_000);
        Assert.InRange(_long.SlowShare(_long.PagesFor(0.05)), 0.0499, 0.0501);
        Assert.Equal(100_000, _long.PagesFor(0));
        Assert.Equal(0, _long.PagesFor(1));
    }

    [Fact]
    public void A_busy_hour_counts_as_its_accesses_do()
    {
        DramCurve busy = new([(4096, 10)], error: 0.1);
        DramCurve idle = new([(512, 0.001), (3584, 0)], error: 0.3);
        _long.Add(busy, 3600);
        _long.Add(idle, 3600);
        Assert.InRange(_long.SlowShare(2048), 0.49, 0.51);   // half of what matters
        Assert.InRange(_long.PagesFor(0.01), 4000, 4096);
        Assert.InRange(_long.Error!.Value, 0.1, 0.101);
        Assert.Equal(7200, _long.Seconds);
    }

    [Fact]
    public void What_is_not_known_is_not_claimed()
    {
        Assert.Equal((0, 0, null), (_long.Seconds, _long.PagesFor(0.01), _long.Error));
        _long.Add(new DramCurve([(512, 1)], error: 1), 1);   // no prediction came due yet
        Assert.Null(_long.Error);
        _long.Add(new DramCurve([(512, 1)], error: 0.5), 1);
        Assert.Equal(0.5, _long.Error!.Value, 6);
        // What it was off by where the guest's pages are says nothing of other amounts of DRAM.
        LongCurve another = new();
        another.Add(new DramCurve([(512, 1)], error: 0, worstError: 0.25), 1);
        Assert.Equal(0.25, another.Error!.Value, 6);
    }

    [Fact]
    public void It_outlives_the_agent()
    {
        _long.Add(new DramCurve([(1000, 0.9), (99_000, 0.001)], error: 0.02), 60);
        GuestHistory after = new(new HeatRing(512), new LongCurve());
        Assert.Null(after.Restore(new GuestHistory(new HeatRing(512), _long).Save(1), 1));
        Assert.Equal((_long.Seconds, _long.Error, _long.PagesFor(0.05)),
            (after.Curve.Seconds, after.Curve.Error, after.Curve.PagesFor(0.05)));
    }

    [Fact]
    public void A_guest_that_was_watched_needs_what_it_uses_within_the_stated_error()
    {
        // One page of sixteen is accessed in every harvest, each of the others in one of two hundred.
        const int Pages = 16 * 512;
        Random random = new(1);
        PlacementPlanner planner = new(Pages);
        MovePlan plan = new();
        byte[] residency = new byte[Pages];
        Array.Fill(residency, Residency.Fast);
        MappingSize[] sizes = new MappingSize[Pages / 512];
        Array.Fill(sizes, MappingSize.Size4K);
        for (int round = 0; round < 120; round++)
        {
            for (int harvest = 0; harvest < 4; harvest++)
            {
                ulong[] accessed = new ulong[Pages / 64];
                for (int page = 0; page < Pages; page++)
                {
                    if (page % 16 == 0 || random.Next(200) == 0)
                        accessed[page / 64] |= 1UL << (page % 64);
                }
                planner.Observe(accessed, sizes);
            }
            planner.EndRound(residency, Pages, 0, plan);
            if (round >= 20 && planner.Curve(TimeSpan.FromSeconds(1)) is { } curve)
                _long.Add(curve, 1);
        }
        long[] fast = new long[HeatLevels.Count], slow = new long[HeatLevels.Count];
        planner.CountHeat(fast, slow);
        Assert.Equal((Pages, 0), (fast.Sum(), slow.Sum()));
        Assert.InRange(fast[^1], Pages / 16, Pages / 15); // in every harvest

        // As accessed bits tell it: with the hot sixteenth in DRAM, these go slow.
        double bits = 15.0 / 16 * Pages / 200;
        double share = bits / (bits + (Pages / 16.0));
        double error = _long.Error!.Value;
        Assert.InRange(error, 0.0001, 0.05);
        // A page that is hit in all four harvests stands for more accesses than its bits, so fewer are slow than bits say.
        Assert.InRange(_long.SlowShare(Pages / 16), 0, share + error);
        Assert.InRange(_long.PagesFor(0.05), Pages / 17, Pages / 12);
    }
}
