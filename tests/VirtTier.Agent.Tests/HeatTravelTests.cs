// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Tiering.Heat;

namespace VirtTier.Agent.Tests;

/// <summary>A guest that goes from one host to another, with its heat.</summary>
public sealed class HeatTravelTests : IDisposable
{
    private const int Budget = 1024;
    private static readonly HashSet<int> s_hot = [.. Enumerable.Range(512, 900)];

    private readonly FakeHost _source = new() { HotPages = s_hot }, _destination = new() { HotPages = s_hot };
    private readonly FakeCarrier _carrier = new();

    public void Dispose()
    {
        _source.Dispose();
        _destination.Dispose();
    }

    private DomainLoop Start(FakeHost host, DomainOrders orders) =>
        new(host.Context() with { Carrier = _carrier }, Domains.ThisProcess, orders);

    private static DomainOrders Orders(RunningDomain domain, bool? carries = true) =>
        domain.Orders(Budget) with { CarriesHeat = carries };

    private async Task<string> LearnAsync()
    {
        await using DomainLoop loop = Start(_source, Orders(Domains.Running()));
        await Eventually.IsTrue(() => !_carrier.Written.IsEmpty);
        return _carrier.Written.Single()!;
    }

    [Fact]
    public async Task It_is_given_to_libvirt_once_it_is_known_and_then_seldom()
    {
        await using DomainLoop loop = Start(_source, Orders(Domains.Running()));
        await Eventually.IsTrue(() => !_carrier.Written.IsEmpty);
        Assert.InRange(loop.Status.HeatRounds, 8, long.MaxValue);
        await RoundsAsync(loop, 10);
        Assert.Single(_carrier.Written);

        _source.HotPages = [.. Enumerable.Range(2048, 900)];
        await RoundsAsync(loop, 30);
        Assert.Single(_carrier.Written);
        _source.Time.Skip(TimeSpan.FromMinutes(5));
        await Eventually.IsTrue(() => _carrier.Written.Count == 2);
        Assert.NotEqual(_carrier.Written.First(), _carrier.Written.Last());

        // The same again is not written.
        await RoundsAsync(loop, 30);
        _source.Time.Skip(TimeSpan.FromMinutes(5));
        await RoundsAsync(loop, 1);
        _source.Time.Skip(TimeSpan.FromMinutes(5));
        await Eventually.IsTrue(
            () => _carrier.Written.Count > 2 || _carrier.Written.Distinct().Count() == _carrier.Written.Count);
        Assert.Equal(_carrier.Written.Count, _carrier.Written.Distinct().Count());
    }

    [Theory]
    [InlineData(null, "libvirt")]
    [InlineData(true, "proxmox")]
    public async Task It_is_not_given_where_libvirt_is_not_asked(bool? carries, string source)
    {
        await using DomainLoop loop = Start(_source, Orders(Domains.Running() with { Source = source, HasHeat = true }, carries));
        await RoundsAsync(loop, 12);
        Assert.Empty(_carrier.Written);
    }

    [Fact]
    public async Task Switched_off_what_is_there_is_taken_away_once()
    {
        await using DomainLoop loop = Start(_source, Orders(Domains.Running() with { HasHeat = true }, carries: false));
        await Eventually.IsTrue(() => !_carrier.Written.IsEmpty);
        _source.Time.Skip(TimeSpan.FromMinutes(10));
        await RoundsAsync(loop, 12);
        Assert.Equal([null], _carrier.Written);
    }

    [Fact]
    public async Task The_configuration_switches_it_and_by_libvirts_files_nobody_is_called()
    {
        RunningDomain domain = Domains.Running() with { HasHeat = true };
        await using Reconciler reconciler = new(
            new AgentConfig { CarryHeat = false, LibvirtSource = LibvirtSource.Files },
            _source.Context() with { Carrier = _carrier });
        await reconciler.ReconcileAsync(Domains.Snapshot(domain));
        await Eventually.IsTrue(() => reconciler.Status().Domains[0].HeatRounds > 12);
        Assert.Empty(_carrier.Written);

        await reconciler.ReconfigureAsync(
            new AgentConfig { CarryHeat = false, LibvirtSource = LibvirtSource.DBus }, _source.Context().Host);
        await Eventually.IsTrue(() => !_carrier.Written.IsEmpty);
        Assert.Null(_carrier.Written.Last());

        _source.Time.Skip(TimeSpan.FromMinutes(5));
        await reconciler.ReconfigureAsync(new AgentConfig(), _source.Context().Host);
        await Eventually.IsTrue(() => _carrier.Written.Last() is not null);
    }

    [Fact]
    public async Task What_libvirt_refuses_is_said_once_and_tried_again_later()
    {
        _carrier.Problem = "the domain has a job";
        await using DomainLoop loop = Start(_source, Orders(Domains.Running()));
        await Eventually.IsTrue(() => _carrier.Tries == 1);
        await RoundsAsync(loop, 5);
        Assert.Equal(1, _carrier.Tries);
        _source.Time.Skip(TimeSpan.FromMinutes(1));
        await Eventually.IsTrue(() => _carrier.Tries == 2);
        _carrier.Problem = null;
        _source.Time.Skip(TimeSpan.FromMinutes(1));
        await Eventually.IsTrue(() => _carrier.Written.Count == 1);
        Assert.Single(_source.Log.Lines, line => line.Contains("the domain has a job", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Cold_blocks_go_before_the_guest_runs_and_the_hot_set_is_there_from_the_first_round()
    {
        string text = await LearnAsync();
        RunningDomain arriving = Domains.Running() with
        {
            State = DomainState.Paused,
            MigratingOut = true,
            CarriedHeat = new CarriedHeat(text),
        };
        await using DomainLoop loop = Start(_destination, Orders(arriving));
        await Eventually.IsTrue(() => _destination.FastPages <= Budget);
        Assert.Equal(0, _destination.Harvests);
        Assert.Equal(s_hot.Count, _destination.HotFastPages);
        Assert.Equal(Budget, _destination.FastPages);

        int least = s_hot.Count;
        _destination.BeforeHarvest = () => least = Math.Min(least, _destination.HotFastPages);
        loop.Update(Orders(arriving with { State = DomainState.Running, MigratingOut = false }));
        await RoundsAsync(loop, 4);
        Assert.InRange(least, s_hot.Count * 9 / 10, s_hot.Count);
        Assert.Single(_destination.Log.Lines, line => line.Contains("begins with the heat", StringComparison.Ordinal));
        // It is taken away, as it has been taken up.
        await Eventually.IsTrue(() => _carrier.Written.Count == 2);
        Assert.Null(_carrier.Written.Last());
    }

    [Fact]
    public async Task Without_heat_nothing_moves_before_the_guest_runs()
    {
        await using DomainLoop loop = Start(_destination, Orders(Domains.Running() with { State = DomainState.Paused }));
        await Eventually.IsTrue(() => loop.Status.State == Status.TieringState.Paused);
        await using DomainLoop other = Start(_source, Orders(Domains.Running()));
        await RoundsAsync(other, 12);
        Assert.Equal(0, _destination.MovedPages);
    }

    [Fact]
    public async Task Observed_nothing_moves_before_the_guest_runs_either()
    {
        string text = await LearnAsync();
        RunningDomain arriving = Domains.Running(mode: VirtTier.Libvirt.Settings.TieringMode.Observe) with
        {
            State = DomainState.Paused,
            CarriedHeat = new CarriedHeat(text),
        };
        await using DomainLoop loop = Start(_destination, Orders(arriving));
        await Eventually.IsTrue(() => loop.Status.State == Status.TieringState.Paused);
        await using DomainLoop other = Start(_source, Orders(Domains.Running()));
        await RoundsAsync(other, 12);
        Assert.Equal(0, _destination.MovedPages);
    }

    public static TheoryData<string, string> Bad => new()
    {
        { "no base64", "<hello>" },
        { "characters", new string('A', HeatMetadata.MostCharacters + 1) },
        { "no summary of heat", "AAAA" },
        { "pages", Of(new HeatRange(0, FakeHost.GuestPages * 4)) },
        { "have frames that it tells of", Of(new HeatRange(1 << 24, FakeHost.GuestPages)) },
    };

    private static string Of(HeatRange range) =>
        Convert.ToBase64String(HeatSummary.Pack([range], (first, count, _) => (first < 512 ? 1 : 5, count))!);

    [Theory]
    [MemberData(nameof(Bad))]
    public async Task What_cannot_be_used_costs_a_line_of_the_log(string why, string text)
    {
        await using DomainLoop loop = Start(
            _destination, Orders(Domains.Running() with { CarriedHeat = new CarriedHeat(text) }));
        await Eventually.IsTrue(() => _destination.FastPages <= Budget && _destination.HotFastPages == s_hot.Count);
        await Eventually.IsTrue(() => !_carrier.Written.IsEmpty);
        Assert.Null(_carrier.Written.First());
        string line = Assert.Single(
            _destination.Log.Lines, line => line.Contains("what came with it cannot be used", StringComparison.Ordinal));
        Assert.Contains(why, line, StringComparison.Ordinal);
        Assert.InRange(line.Length, 1, 400);
    }

    private static async Task RoundsAsync(DomainLoop loop, int count)
    {
        long until = loop.Status.Rounds + count;
        await Eventually.IsTrue(() => loop.Status.Rounds >= until);
    }

    private sealed class FakeCarrier : IHeatCarrier
    {
        private int _tries;

        public ConcurrentQueue<string?> Written { get; } = [];

        public int Tries => Volatile.Read(ref _tries);

        public string? Problem { get; set; }

        public Task<string?> WriteAsync(RunningDomain domain, string? text)
        {
            Interlocked.Increment(ref _tries);
            if (Problem is null)
                Written.Enqueue(text);
            return Task.FromResult(Problem);
        }
    }
}
