// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using FsCheck;
using FsCheck.Fluent;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;
using VirtTier.Tiering.Budgets;

namespace VirtTier.Agent.Tests;

/// <summary>Sizes, shares, rates and times over their whole range: what is written is read,
/// and nothing overflows silently.</summary>
public class NumberProperties
{
    private const long MostBytes = 1L << 52;

    /// <summary>Sizes of every magnitude, the greatest among them.</summary>
    private static readonly Gen<long> s_bytes =
        Gen.OneOf(Gen.Choose(0, 52).SelectMany(bits => UpTo(1L << bits)), Gen.Constant(MostBytes));

    private static readonly Gen<decimal> s_percent = UpTo(100_000_000).Select(millionths => millionths / 1_000_000m);

    [Fact]
    public void A_size_is_read_as_it_was_written() => Holds(s_bytes, bytes =>
        SizeSpec.Parse(SizeSpec.FromBytes((ulong)bytes).ToString()).Resolve(0) == (ulong)bytes);

    [Fact]
    public void A_rate_is_read_as_it_was_written() => Holds(s_bytes.Where(bytes => Limits.Rate.Allows(bytes)), bytes =>
        ByteRate.Parse(new ByteRate((ulong)bytes).ToString()).BytesPerSecond == (ulong)bytes);

    [Fact]
    public void A_share_is_read_as_it_was_written_and_is_of_the_memory_never_more() => Holds(
        s_percent.SelectMany(percent => s_bytes.Select(bytes => (percent, bytes))),
        x => SizeSpec.Parse(SizeSpec.FromPercent(x.percent).ToString()) == SizeSpec.FromPercent(x.percent)
            && SizeSpec.FromPercent(x.percent).Resolve((ulong)x.bytes) is ulong part
            && part == decimal.Floor(x.bytes * x.percent / 100) && part <= (ulong)x.bytes);

    [Fact]
    public void What_is_more_than_a_processor_can_address_is_refused_with_the_limit() => Holds(
        UpTo(1L << 59).Select(more => (MostBytes / 1024) + 1 + more),
        kibibytes => !SizeSpec.TryParse($"{kibibytes}KiB", out _, out string? error)
            && error!.EndsWith("must be from 0KiB to 4096TiB", StringComparison.Ordinal));

    [Fact]
    public void Budgets_are_never_below_zero_nor_together_above_the_pool() => Holds(
        s_bytes.SelectMany(
            pool => Gen.Choose(1, 30).SelectMany(count => Gen.ListOf(Demand(), count)).Select(demands => (pool, demands))),
        x =>
        {
            long[] budgets = PoolDivider.Divide([.. x.demands], x.pool / PageSizes.PageBytes, out _);
            return budgets.All(pages => pages >= 0) && budgets.Sum() <= x.pool / PageSizes.PageBytes;
        });

    [Fact]
    public void A_time_is_within_its_limits_or_refused() => Holds(
        ArbMap.Default.GeneratorFor<double>().Where(double.IsFinite).SelectMany(
            number => Gen.Elements("ms", "s", "min").Select(unit => (number, unit))),
        x =>
        {
            string text = x.number.ToString("0.###############", CultureInfo.InvariantCulture) + x.unit;
            try
            {
                return ConfigReader.Read("f", $"sampling: {{interval: '{text}'}}").HarvestInterval
                    is { TotalMilliseconds: >= 10 and <= 60_000 };
            }
            catch (ConfigException e)
            {
                return e.Message.Contains("from 10ms to 60s", StringComparison.Ordinal);
            }
        });

    [Fact]
    public void A_time_is_read_as_it_was_written() => Holds(
        Gen.Choose(10, 60_000).SelectMany(milliseconds => Gen.Elements(("ms", 1m), ("s", 1000m), ("min", 60_000m)).Select(
            unit => (milliseconds, unit))),
        x =>
        {
            string text = (x.milliseconds / x.unit.Item2).ToString(
                "0.############################", CultureInfo.InvariantCulture);
            TimeSpan read = ConfigReader.Read("f", $"sampling: {{interval: '{text}{x.unit.Item1}'}}").HarvestInterval;
            return Math.Abs((read - TimeSpan.FromMilliseconds(x.milliseconds)).Ticks) <= 1;
        });

    [Fact]
    public void Bytes_of_a_domain_are_as_many_pages_and_back_within_one() => Holds(
        s_bytes.SelectMany(memory => Size().SelectMany(dram => Size().Select(min => (memory, dram, min)))), x =>
        {
            BudgetDemand demand = BudgetDemands.Of(new() { Dram = x.dram, Min = x.min }, (ulong)x.memory, (ulong)x.memory);
            return Near(demand.Memory, (ulong)x.memory) && Near(demand.Min, x.min.Resolve((ulong)x.memory) ?? 0)
                && (demand.Dram is { } dram ? Near(dram, x.dram.Resolve((ulong)x.memory)!.Value) : !x.dram.Resolve(0).HasValue);

            static bool Near(long pages, ulong bytes) =>
                pages >= 0 && (ulong)pages * PageSizes.PageBytes <= bytes && bytes - ((ulong)pages * PageSizes.PageBytes) < 4096;
        });

    [Fact]
    public void A_rate_and_a_share_of_a_CPU_allow_so_many_moves_in_a_round_and_no_more() => Holds(
        s_bytes.Where(bytes => Limits.Rate.Allows(bytes)).SelectMany(rate => Gen.Choose(1, 1000).SelectMany(
            permille => Gen.Choose(10, 60_000).SelectMany(milliseconds => Gen.Choose(1, 64).Select(
                harvests => (rate, share: permille / 1000.0, milliseconds, harvests))))),
        x =>
        {
            SamplingPace pace = new AgentConfig
            {
                HarvestInterval = TimeSpan.FromMilliseconds(x.milliseconds),
                HarvestsPerRound = x.harvests,
            }.Sampling;
            long moves = new MoveCostWatch(1, new(), TimeProvider.System).MostMoves(new(x.rate, x.share), pace);
            double exact = x.rate * (x.milliseconds / 1000.0 * x.harvests) / PageSizes.PageBytes;
            return moves >= 0 && Math.Abs(moves - exact) <= 1 + (exact * 1e-9);
        });

    [Fact]
    public void A_size_is_shown_with_three_digits_of_what_it_is() => Holds(s_bytes, bytes =>
        Sizes.Show(bytes).Split(' ') is [var number, var unit]
            && double.Parse(number, CultureInfo.InvariantCulture)
                * Math.Pow(1024, Array.IndexOf(["B", "KiB", "MiB", "GiB", "TiB", "PiB"], unit)) is var shown
            && Math.Abs(shown - bytes) <= Math.Pow(1024, Array.IndexOf(["B", "KiB", "MiB", "GiB", "TiB", "PiB"], unit)) * 0.051);

    private static Gen<BudgetDemand> Demand() =>
        s_bytes.Where(bytes => bytes > 0)
            .SelectMany(memory => Size()
                .SelectMany(dram => Size().SelectMany(min => Gen.Choose(1, (int)Limits.Shares.Highest).Select(shares =>
        {
            TieringSettings settings = new() { Dram = dram, Min = min, Shares = shares };
            return BudgetDemands.Of(settings, (ulong)memory, (ulong)memory);
        }))));

    private static Gen<SizeSpec> Size() => Gen.OneOf(
        Gen.Constant(SizeSpec.Unset), Gen.Constant(SizeSpec.Auto), s_percent.Select(SizeSpec.FromPercent),
        s_bytes.Select(bytes => SizeSpec.FromBytes((ulong)bytes)));

    private static Gen<long> UpTo(long most) =>
        Gen.Choose(0, (1 << 30) - 1).SelectMany(
            high => Gen.Choose(0, (1 << 30) - 1).Select(low => (((long)high << 30) | (long)low) % (most + 1)));

    private static void Holds<T>(Gen<T> values, Func<T, bool> property) =>
        Prop.ForAll(values.ToArbitrary(), property).Check(Config.QuickThrowOnFailure.WithQuietOnSuccess(true));
}
