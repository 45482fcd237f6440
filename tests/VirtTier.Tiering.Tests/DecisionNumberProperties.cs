// SPDX-License-Identifier: Apache-2.0
using FsCheck;
using FsCheck.Fluent;
using VirtTier.Tiering.Budgets;
using VirtTier.Tiering.History;
using VirtTier.Tiering.Planning;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

/// <summary>Pages, shares, rates and times over their whole range: a result or a refusal, never another number.</summary>
public sealed class DecisionNumberProperties
{
    // As many pages as a processor can address.
    private const long MostPages = 1L << 40;

    private static readonly Gen<long> s_pages =
        Gen.OneOf(Gen.Choose(0, 40).SelectMany(bits => UpTo(1L << bits)), Gen.Constant(MostPages));

    [Fact]
    public void Rounds_come_apart_within_their_bounds_or_as_far_as_the_CPU_needs() => Holds(
        Time().SelectMany(shortest => Time().SelectMany(more => Time().SelectMany(
            work => Gen.Choose(1, 1_000_000).Select(share => (shortest, more, work, share: share / 1e6))))), x =>
        {
            TimeSpan longest = TimeSpan.FromTicks(Math.Max(x.shortest.Ticks, x.more.Ticks));
            RoundPacer pacer = new(x.shortest, longest, x.share);
            MovePlan plan = new();
            for (int round = 0; round < 5; round++)
            {
                plan.FastPages = round * 100;
                plan.DemotedWithinPages = round % 2 * 50;
                try
                {
                    pacer.EndRound(plan, x.work);
                }
                catch (OverflowException)
                {
                    return x.work.TotalSeconds / x.share > TimeSpan.MaxValue.TotalSeconds * 0.999;
                }
                TimeSpan affordable = x.work / x.share;
                if (pacer.Interval < x.shortest || pacer.Interval < affordable
                    || pacer.Interval > (longest > affordable ? longest : affordable))
                    return false;
            }
            return true;
        });

    [Fact]
    public void Headroom_is_never_below_zero_nor_above_what_can_be_born() => Holds(
        s_pages.SelectMany(born => s_pages.SelectMany(budget => s_pages.SelectMany(
            absent => Gen.Choose(1, 1000).Select(spacing => (born, budget, absent, spacing: spacing / 1000.0))))), x =>
        {
            Headroom headroom = new();
            headroom.Observe(x.born);
            return headroom.Pages(x.budget, x.absent, x.spacing) is var pages && pages >= 0
                && pages <= Math.Min(x.absent, x.budget)
                && headroom.DemotionsWithin(x.absent) is var demotions && demotions >= 0 && demotions <= x.absent;
        });

    [Fact]
    public void By_shares_and_by_use_no_more_is_given_out_than_there_is() => Holds(
        s_pages.SelectMany(pool => Gen.Choose(1, 12).SelectMany(count => Gen.ListOf(Demand(), count)).Select(
            demands => (pool, demands: demands.ToArray()))), x =>
        {
            long[] budgets = PoolDivider.Divide(x.demands, x.pool, out bool enough);
            return budgets.Sum() <= x.pool && budgets.Zip(x.demands).All(
                pair => pair.First >= 0 && (!enough || (pair.First >= pair.Second.Guaranteed
                    && pair.First <= Math.Max(pair.Second.Guaranteed, pair.Second.Most))));
        });

    [Fact]
    public void A_picture_of_any_guest_has_a_row_for_each_page() => Holds(
        Gen.Choose(1, int.MaxValue / 512).Select(blocks => blocks * 512), pages =>
        {
            HeatRing ring = new(pages);
            return ring.Rows is >= 1 and <= HeatRing.MostRows && ring.RowPages % 512 == 0
                && (long)ring.Rows * ring.RowPages >= pages && (long)(ring.Rows - 1) * ring.RowPages < pages;
        });

    [Fact]
    public void A_long_curve_gives_shares_and_pages_within_those_that_there_are() => Holds(
        Gen.Choose(1, 8).SelectMany(count => Gen.ListOf(UpTo(int.MaxValue).SelectMany(
            pages => Gen.Choose(0, 400_000_000).Select(rate => (Pages: pages, Rate: rate / 1e3))), count)).SelectMany(
                groups => Gen.Choose(0, 10_000).SelectMany(seconds => s_pages.Select(pages => (groups, seconds, pages)))), x =>
        {
            LongCurve curve = new();
            DramCurve round = new(x.groups, error: 0.1);
            curve.Add(round, x.seconds);
            return curve.SlowShare(x.pages) is >= 0 and <= 1 && curve.PagesFor(0.05) is var need && need >= 0
                && need <= round.Pages
                && round.SlowShare(x.pages) is >= 0 and <= 1;
        });

    private static Gen<BudgetDemand> Demand() => s_pages.SelectMany(memory => s_pages.SelectMany(min => s_pages.SelectMany(
        max => s_pages.SelectMany(previous => Gen.Choose(1, 10_000).SelectMany(shares => Gen.Elements(0, 1, 2).Select(
            kind => new BudgetDemand(memory, kind == 0 ? min : null, min, max, shares,
                kind == 1 ? new DramCurve([(memory / 2, 100.5), (memory / 3, 1e-3)], error: 0.1) : null, previous)))))));

    private static Gen<TimeSpan> Time() => Gen.Choose(0, 62).SelectMany(bits => UpTo(1L << bits)).Select(
        ticks => TimeSpan.FromTicks(Math.Max(1, ticks)));

    private static Gen<long> UpTo(long most) => Gen.Choose(0, int.MaxValue).SelectMany(
        high => Gen.Choose(0, int.MaxValue).Select(low => (((long)high << 31) | (long)low) % (most + 1)));

    private static void Holds<T>(Gen<T> values, Func<T, bool> property) =>
        Prop.ForAll(values.ToArbitrary(), property).Check(Config.QuickThrowOnFailure.WithMaxTest(500).WithQuietOnSuccess(true));
}
