// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Metrics;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Agent.Tests.Pictures;

/// <summary>
/// <c>virttier estimate</c> after a day of a guest whose habits are known: how often it touches which page, hour by hour. What
/// DRAM would truly have done for it is then no matter of opinion.
/// </summary>
public sealed class EstimateOfADayTests
{
    private const int Pages = 16384;
    private const int Harvests = 4;
    private static readonly TimeSpan s_round = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_watched = TimeSpan.FromSeconds(1);

    private static readonly GuestLayout s_layout = GuestLayout.FromMemslots([new Memslot(0, 0x4000_0000, Pages)]);

    [Fact]
    public void After_a_day_of_watching_it_is_within_its_stated_error_of_the_true_hot_set()
    {
        GuestDay day = new();
        Clock clock = new();
        GuestRecord record = new(s_layout, clock);
        HarvestBuffers harvest = new(s_layout);
        PlacementPlanner planner = new(Pages);
        byte[] residency = new byte[Pages];
        Array.Fill(residency, Residency.Fast);
        for (; clock.Now < GuestDay.Begin + TimeSpan.FromDays(1); clock.Now += s_round)
        {
            for (int i = 0; i < Harvests; i++)
            {
                day.Touch(clock.Now, harvest.Accessed);
                planner.Observe(harvest.Accessed, harvest.Sizes.Span);
                record.Harvested(harvest);
            }
            planner.EndRound(residency, Pages, maxMoves: 0, new MovePlan());
            record.EndRound(planner, planner.Curve(s_watched), s_round);
        }
        DomainStatus status = SampleStatus.Of("web1").Domains[0];
        status = status with { FastBytes = Pages * (long)PageSizes.PageBytes, SlowBytes = 0 };
        DomainEstimate estimate = DomainEstimate.Of(status, record);
        Assert.InRange(estimate.ObservedSeconds, 86_300, 86_400);
        double error = estimate.Error!.Value;
        Assert.InRange(error, 0.001, 0.03); // one that is never stated, or says nothing, is none
        foreach ((double share, DramNeed need) in
            (IEnumerable<(double, DramNeed)>)[(0.01, estimate.OnePercent!), (0.05, estimate.FivePercent!)])
        {
            long truth = day.PagesFor(share) * PageSizes.PageBytes;
            Assert.InRange(truth, need.LeastBytes, need.MostBytes);
            Assert.InRange(day.SlowShare(need.DramBytes / PageSizes.PageBytes), share - error, share + error);
            TestContext.Current.SendDiagnosticMessage(string.Create(CultureInfo.InvariantCulture,
                $"{share:P0} slow: estimated {Sizes.Show(need.DramBytes)}, true {Sizes.Show(truth)}, stated error {error:P2}"));
        }
    }

    private sealed class Clock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = GuestDay.Begin;

        public override DateTimeOffset GetUtcNow() => Now;
    }

    /// <summary>What the guest does, and what of it would have gone slow with the pages in DRAM that it is about to use
    /// most.</summary>
    private sealed class GuestDay
    {
        private const int Words = Pages / 64;

        // Accesses a harvest that come independently of each other, such that one finds the page accessed with that chance.
        private static readonly double[] s_rates =
            [.. Enumerable.Range(0, Rare + 1).Select(habit => -Math.Log(1 - Chance(habit)))];

        // The habit of memory that is hardly used; see Chance.
        private const int Rare = 11;

        private readonly Random _random = new(1);
        private readonly int[] _habits = new int[Words];
        private readonly double[] _fast = new double[Pages + 1];
        private int _hour = -1;

        public static DateTimeOffset Begin { get; } = new(2026, 3, 1, 0, 0, 0, TimeSpan.Zero);

        public void Touch(DateTimeOffset now, Span<ulong> accessed)
        {
            if (now.Hour != _hour)
                BeginHour(_hour = now.Hour);
            for (int word = 0; word < Words; word++)
                accessed[word] = Draw(_habits[word]);
        }

        public double SlowShare(long pages) => 1 - (_fast[pages] / _fast[Pages]);

        public long PagesFor(double slowShare)
        {
            long pages = 0;
            while (SlowShare(pages) > slowShare)
                pages++;
            return pages;
        }

        private void Lay(int word)
        {
            for (int habit = 0; habit < 4; habit++)
            {
                int words = 4 << habit;
                Array.Fill(_habits, habit, word, words);
                word += words;
            }
        }

        // That a harvest finds a page accessed: 7/8, 1/2, 1/4 and so on, which random words can be or-ed and and-ed to.
        private static double Chance(int habit) => habit == 0 ? 0.875 : Math.Pow(2, -habit);

        private ulong Draw(int habit)
        {
            ulong drawn = (ulong)_random.NextInt64(long.MinValue, long.MaxValue);
            if (habit == 0)
                return drawn | Draw(1) | Draw(1);
            for (int halves = 1; halves < habit && drawn != 0; halves++)
                drawn &= (ulong)_random.NextInt64(long.MinValue, long.MaxValue);
            return drawn;
        }

        private void BeginHour(int hour)
        {
            // A program that runs all day and one of office hours, whose memory is another one each hour: both with some pages
            // that are touched often, twice as many half as often, and so on. A background of rare touches is all the rest.
            Array.Fill(_habits, Rare);
            Lay(0);
            if (hour is >= 8 and < 18)
                Lay(64 + (hour * 7));
            double[] sorted = [.. _habits.SelectMany(habit => Enumerable.Repeat(s_rates[habit], 64)).OrderDescending()];
            double sum = 0;
            for (int pages = 1; pages <= Pages; pages++)
                _fast[pages] += sum += sorted[pages - 1];
        }
    }
}
