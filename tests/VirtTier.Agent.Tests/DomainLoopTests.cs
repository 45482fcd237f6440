// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Memory.Processes;
using VirtTier.Memory;

namespace VirtTier.Agent.Tests;

public sealed class DomainLoopTests : IDisposable
{
    private const int Budget = 1024;

    private readonly FakeHost _host = new() { HotPages = [.. Enumerable.Range(0, 600).Select(i => i * 5)] };

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task A_domain_settles_in_its_budget_with_its_hot_pages_in_fast_memory()
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));

        await Eventually.IsTrue(() => _host.FastPages <= Budget);
        await Eventually.IsTrue(() => _host.HotFastPages == _host.HotPages.Count);
        _host.MostFast = 0;
        await RoundsAsync(loop, 5);

        Assert.InRange(_host.MostFast, 0, Budget);
        Assert.Equal(_host.HotPages.Count, _host.HotFastPages);
        DomainStatus status = loop.Status;
        Assert.Equal(TieringState.Tiering, status.State);
        Assert.Null(status.Reason);
        Assert.Equal(_host.FastPages * 4096L, status.FastBytes);
        Assert.Equal(_host.HotPages.Count * 4096L, status.HotBytes);
    }

    [Fact]
    public async Task A_shifted_hot_set_is_followed_and_the_budget_kept_all_the_while()
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => _host.FastPages <= Budget && _host.HotFastPages == _host.HotPages.Count);
        _host.MostFast = 0;

        _host.HotPages = [.. _host.HotPages.Select(page => page + 1)];
        await Eventually.IsTrue(() => _host.HotFastPages == _host.HotPages.Count);

        Assert.InRange(_host.MostFast, 1, Budget);
    }

    [Fact]
    public async Task A_smaller_budget_is_followed_without_starting_over()
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => _host.FastPages <= Budget);

        loop.Update(Domains.Running().Orders(Budget / 2));

        await Eventually.IsTrue(() => _host.FastPages <= Budget / 2);
        Assert.Equal(1, _host.Attached);
    }

    [Fact]
    public async Task Room_for_new_pages_is_made_after_each_harvest()
    {
        const int born = 20;
        _host.GrownTo = 3000;
        HashSet<(long Round, int Harvest)> moves = [];
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => _host.FastPages <= Budget && _host.HotFastPages == _host.HotPages.Count);
        _host.BeforeMove = () => moves.Add((loop.Status.Rounds, _host.Harvests));
        _host.BornPerHarvest = born;
        await Eventually.IsTrue(() => _host.GrownTo == FakeHost.GuestPages);
        _host.BeforeMove = null;

        // Once births are expected there are rounds in which moves come after most of the four harvests,
        // of which the last ends it.
        int[] byRound = [.. moves.GroupBy(m => m.Round).Select(g => g.Count())];
        Assert.True(byRound.Max() > 2, $"moves by round: {string.Join(", ", byRound)}");
        // Room is kept for what a round brings, and an eighth more. On a busy machine a round has harvests that came late, too.
        int most = 1 + moves.GroupBy(m => m.Round).Max(g => g.Max(m => m.Harvest) - g.Min(m => m.Harvest) + 1);
        Assert.InRange(_host.FastPages, Budget - ((most + 2) * born), Budget + born);
    }

    [Fact]
    public async Task Of_pages_that_every_harvest_finds_accessed_the_busiest_come_to_DRAM()
    {
        const int busyPages = 256, budget = busyPages + 8;
        _host.Interval = 2 * _host.CalmPeriod;
        _host.HotPages = [.. Enumerable.Range(0, busyPages).Select(i => i * 12)];
        _host.CalmPages = [.. Enumerable.Range(0, 4 * busyPages).Select(i => i * 3).Except(_host.HotPages)];
        await using DomainLoop loop = Start(Domains.Running().Orders(budget));

        await Eventually.IsTrue(
            () => _host.FastPages <= budget && _host.HotFastPages >= busyPages * 9 / 10,
            () => $"{_host.HotFastPages} of them after {loop.Status.Rounds} rounds");
    }

    [Theory]
    [InlineData(10)]
    [InlineData(50, 10)]
    [InlineData(250, 10, 50)]
    [InlineData(1000, 10, 50, 210)]
    [InlineData(60_000, 10, 50, 210, 850, 3410, 13650)]
    public void Glances_come_after_four_times_as_long_each_and_leave_half_of_the_interval(int interval, params int[] due)
    {
        SamplingPace pace = new(TimeSpan.FromMilliseconds(interval), 4, 1, 0);
        for (int i = 0; i < due.Length; i++)
            Assert.Equal(TimeSpan.FromMilliseconds(due[i]), pace.GlanceAfter(i));
        Assert.Null(pace.GlanceAfter(due.Length));
        Assert.Null(pace.GlanceAfter(due.Length + 1));
    }

    [Fact]
    public async Task Observe_finds_the_same_hot_pages_and_moves_none()
    {
        await using DomainLoop loop = Start(Domains.Running(mode: TieringMode.Observe).Orders(Budget));

        await RoundsAsync(loop, 6);

        Assert.Equal(_host.HotPages.Count * 4096L, loop.Status.HotBytes);
        Assert.Equal(0, _host.MovedPages);
    }

    [Fact]
    public async Task Enabled_it_is_tiered_within_five_rounds_and_observed_again_left_alone_within_one()
    {
        await using DomainLoop loop = Start(Domains.Running(mode: TieringMode.Observe).Orders(Budget));
        await RoundsAsync(loop, 6);
        int harvests = _host.Harvests, firstMove = 0;
        _host.BeforeMove = () => firstMove = firstMove == 0 ? _host.Harvests : firstMove;

        loop.Update(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => _host.MovedPages > 0);
        Assert.InRange(firstMove - harvests, 0, 5 * 4); // four harvests a round

        loop.Update(Domains.Running(mode: TieringMode.Observe).Orders(Budget));
        await RoundsAsync(loop, 2); // the one that was under way, and one more
        long moved = _host.MovedPages;
        _host.HotPages = [.. _host.HotPages.Select(page => page + 1)]; // there would be much to do
        await RoundsAsync(loop, 6);
        Assert.Equal(moved, _host.MovedPages);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_guest_that_is_suspended_or_migrates_is_neither_sampled_nor_moved(bool suspended)
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => loop.Status.Rounds > 0);

        if (suspended)
            loop.Update((Domains.Running() with { State = DomainState.Paused }).Orders(Budget / 2));
        else
            _host.DirtyLogging = true;
        await Eventually.IsTrue(() => loop.Status.State == TieringState.Paused);
        (int harvests, long moved) = (_host.Harvests, _host.MovedPages);
        await Task.Delay(100, TestContext.Current.CancellationToken);
        Assert.Equal((harvests, moved), (_host.Harvests, _host.MovedPages));

        _host.DirtyLogging = false;
        loop.Update(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => loop.Status.State == TieringState.Tiering && _host.Harvests > harvests);
    }

    [Theory]
    [InlineData(true)] // seen by harvests only
    [InlineData(false)] // seen between them only
    public async Task A_guest_that_runs_guests_is_observed_and_not_moved_until_they_have_ended(bool byHarvest)
    {
        (_host.NestedGuests, _host.NestedGuestsNow) = (byHarvest, !byHarvest);
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await RoundsAsync(loop, 6);

        DomainStatus status = loop.Status;
        Assert.Equal((TieringState.Observing, "observing", true), (status.State, status.StateName, status.NeedsAttention));
        Assert.Contains("runs guests of its own", status.Reason, StringComparison.Ordinal);
        Assert.Contains("\"state\":\"Observing\"", status.ToJson(), StringComparison.Ordinal);
        Assert.Single(_host.Log.Lines, line => line == $"web1: {status.Reason}");
        Assert.Equal(_host.HotPages.Count * 4096L, status.HotBytes); // heat goes on
        Assert.Equal(0, _host.MoveCalls);

        (_host.NestedGuests, _host.NestedGuestsNow) = (false, false);
        await Eventually.IsTrue(
            () => loop.Status is { State: TieringState.Tiering, Reason: null } && _host.FastPages <= Budget);
    }

    [Fact]
    public async Task A_guest_whose_own_guests_are_seen_is_tiered_like_any_other()
    {
        (_host.NestedGuests, _host.NestedGuestsNow, _host.NestedSeen) = (true, true, true);
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(
            () => loop.Status is { State: TieringState.Tiering, Reason: null } && _host.FastPages <= Budget);

        Assert.DoesNotContain(_host.Log.Lines, line => line.Contains("runs guests of its own", StringComparison.Ordinal));
        Assert.Equal(_host.HotPages.Count, _host.HotFastPages);

        _host.NestedSeen = false; // until the module can see them no more
        await Eventually.IsTrue(() => loop.Status.State == TieringState.Observing);
    }

    [Fact]
    public async Task A_confidential_guest_is_observed_and_not_moved()
    {
        _host.Confidential = true;
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await RoundsAsync(loop, 6);

        DomainStatus status = loop.Status;
        Assert.Equal(TieringState.Observing, status.State);
        Assert.Contains("is confidential", status.Reason, StringComparison.Ordinal);
        Assert.Equal(_host.HotPages.Count * 4096L, status.HotBytes); // heat goes on
        Assert.Equal(0, _host.MoveCalls);
    }

    [Fact]
    public async Task Nothing_is_moved_once_a_guest_begins_to_run_guests()
    {
        DomainOrders orders = Domains.Running().Orders(Budget);
        await using DomainLoop loop = Start(orders);
        await Eventually.IsTrue(() => _host.FastPages <= Budget);
        _host.NestedGuests = true;
        await Eventually.IsTrue(() => loop.Status.State == TieringState.Observing);

        int calls = _host.MoveCalls;
        loop.Update(Domains.Running().Orders(Budget / 2));
        await RoundsAsync(loop, 3);

        Assert.Equal(calls, _host.MoveCalls);
    }

    [Fact]
    public async Task Where_the_pages_are_is_known_before_the_first_round_and_while_its_moves_take_long()
    {
        Array.Fill(_host.NodeOf, 1, 0, 100);
        using ManualResetEventSlim harvest = new();
        using ManualResetEventSlim move = new();
        _host.BeforeHarvest = harvest.Wait;
        _host.BeforeMove = move.Wait;
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        try
        {
            await Eventually.IsTrue(() => loop.Status.State == TieringState.Tiering);
            Assert.Equal((0, (FakeHost.GuestPages - 100) * 4096L, 100 * 4096L), Places(loop.Status));
            Assert.Equal("settling", loop.Status.StateName);

            harvest.Set();
            await Eventually.IsTrue(() => _host.MoveCalls == 1);
            DomainStatus status = loop.Status;
            Assert.Equal((0, (FakeHost.GuestPages - 100) * 4096L, 100 * 4096L), Places(status));
            Assert.Equal(_host.HotPages.Count * 4096L, status.HotBytes);
            Assert.Equal(_host.HotFastPages * 4096L, status.HotFastBytes);
        }
        finally
        {
            harvest.Set();
            move.Set();
        }
        await Eventually.IsTrue(() => Places(loop.Status) is (> 0, <= Budget * 4096L, _));
        Assert.Equal(FakeHost.GuestPages * 4096L, loop.Status.FastBytes + loop.Status.SlowBytes);

        static (long Rounds, long Fast, long Slow) Places(DomainStatus status) =>
            (status.Rounds, status.FastBytes, status.SlowBytes);
    }

    [Fact]
    public async Task Moves_under_way_end_when_the_guest_pauses()
    {
        DomainOrders orders = Domains.Running().Orders(Budget);
        await using DomainLoop loop = Start(Domains.Running(mode: TieringMode.Observe).Orders(Budget));
        await Eventually.IsTrue(() => loop.Status.Rounds > 0);
        _host.MoveTime = TimeSpan.FromMilliseconds(1); // so that one call does not move them all
        _host.BeforeMove = () => loop.Update(orders with { Domain = orders.Domain with { MigratingOut = true } });
        loop.Update(orders);
        await Eventually.IsTrue(() => loop.Status.State == TieringState.Paused);

        Assert.Equal(1, _host.MoveCalls);
        _host.BeforeMove = null;
        loop.Update(orders);
        await Eventually.IsTrue(() => _host.FastPages <= Budget);
        Assert.InRange(_host.MoveCalls, 2, int.MaxValue);
    }

    [Theory]
    [InlineData(TieringMode.Enforce)]
    [InlineData(TieringMode.Observe)]
    internal async Task A_tier_that_a_cpuset_forbids_is_said_before_any_move_is_tried_and_used_when_that_is_mended(
        TieringMode mode)
    {
        _host.Forbidden = new ForbiddenNode(1, [0], "echo 0-1 > mems");
        RunningDomain domain = Domains.Running(mode: mode);
        await using DomainLoop loop = Start(domain.Orders(Budget));
        await RoundsAsync(loop, 3);
        Assert.Equal("its cpuset allows memory on node 0 only, not on node 1; mend it with: echo 0-1 > mems",
            loop.Status.Reason);

        loop.Update((domain with { Numa = NumaHints.None with { Nodeset = "0" } }).Orders(Budget));
        await Eventually.IsTrue(
            () => loop.Status.Reason!.StartsWith(
                "its numatune (strict, nodes 0) forbids memory on node 1", StringComparison.Ordinal));
        Assert.EndsWith("virsh numatune --config --nodeset 0-1 web1", loop.Status.Reason, StringComparison.Ordinal);
        Assert.Equal(0, _host.MoveCalls);

        _host.Forbidden = null;
        await Eventually.IsTrue(() => loop.Status.Reason is null && (_host.MovedPages > 0) == (mode == TieringMode.Enforce));
    }

    [Fact]
    public async Task What_is_missing_is_said_and_tried_again_until_it_is_there()
    {
        _host.AttachError = new GuestMemoryException(GuestMemoryError.ModuleAbsent, "the module is absent");
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => loop.Status.Reason == "the module is absent");
        Assert.Equal(TieringState.Attaching, loop.Status.State);

        _host.AttachError = null;

        await Eventually.IsTrue(() => loop.Status is { State: TieringState.Tiering, Reason: null });
    }

    [Fact]
    public async Task A_process_that_took_over_the_pid_is_let_go()
    {
        await using DomainLoop loop = new(
            _host.Context(), Domains.ThisProcess with { StartTime = Domains.ThisProcess.StartTime + 1 },
            Domains.Running().Orders(Budget));

        await Task.Delay(200, TestContext.Current.CancellationToken);

        Assert.Equal(0, _host.Attached);
        Assert.Equal(0, _host.Harvests);
    }

    [Fact]
    public async Task Disposing_detaches_the_sampler()
    {
        DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => _host.Attached == 1);

        await loop.DisposeAsync();

        Assert.Equal(0, _host.Attached);
    }

    [Fact]
    public async Task What_was_learned_outlives_the_agent()
    {
        DomainLoop first = Start(Domains.Running().Orders(Budget));
        await RoundsAsync(first, 8);
        await first.DisposeAsync();

        await using DomainLoop second = Start(Domains.Running().Orders(Budget));
        await RoundsAsync(second, 1);

        Assert.InRange(second.Status.HeatRounds, second.Status.Rounds + 8, long.MaxValue);
        Assert.Contains(_host.Log.Lines, line => line.StartsWith("web1: goes on with the heat of ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_was_learned_outlives_a_change_of_the_memory()
    {
        _host.SlotPages = FakeHost.GuestPages - 512;
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await RoundsAsync(loop, 8);
        await Eventually.IsTrue(() => _host.HotFastPages == _host.HotPages.Count);
        (long rounds, long moved) = (loop.Status.HeatRounds, _host.MovedPages);

        _host.SlotPages = FakeHost.GuestPages; // a DIMM, its pages in fast memory as they are born
        _host.Generation++;
        await Eventually.IsTrue(
            () => _host.Log.Lines.Any(line => line.Contains("memory layout changed", StringComparison.Ordinal)));
        await RoundsAsync(loop, 2);

        Assert.InRange(loop.Status.HeatRounds, rounds + 1, long.MaxValue);
        Assert.Equal(_host.HotPages.Count * 4096L, loop.Status.HotBytes);
        Assert.Equal(_host.HotPages.Count, _host.HotFastPages);
        Assert.InRange(_host.MovedPages - moved, 0, 600); // the DIMM's, and none that was in place
    }

    [Fact]
    public async Task What_was_learned_is_saved_now_and_then_so_that_a_killed_agent_has_it_too()
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await RoundsAsync(loop, 3);
        string file = new HeatStore(_host.HeatDirectory, _host.Log).FileOf(Domains.Running().Uuid, Domains.ThisProcess);
        Assert.False(File.Exists(file));

        _host.Time.Skip(TimeSpan.FromSeconds(20));

        await Eventually.IsTrue(() => File.Exists(file));
    }

    [Theory]
    [InlineData("damaged")]
    [InlineData("of another process")]
    public async Task Heat_that_does_not_fit_is_left_aside_with_one_line(string what)
    {
        DomainLoop first = Start(Domains.Running().Orders(Budget));
        await RoundsAsync(first, 8);
        await first.DisposeAsync();
        string file = Assert.Single(Directory.GetFiles(_host.HeatDirectory));
        byte[] state = File.ReadAllBytes(file);
        // The checksum is of the end, what the memory is stands in front.
        state[what == "damaged" ? ^1 : 12] ^= 1;
        File.WriteAllBytes(file, state);

        await using DomainLoop second = Start(Domains.Running().Orders(Budget));
        await RoundsAsync(second, 1);

        string line = Assert.Single(_host.Log.Lines, line => line.Contains("heat", StringComparison.Ordinal));
        Assert.StartsWith($"web1: heat is learned anew; {file} cannot be used: ", line, StringComparison.Ordinal);
        Assert.InRange(second.Status.HeatRounds, 1, second.Status.Rounds + 1);
    }

    [Fact]
    public async Task A_guest_that_stands_still_is_looked_at_less_often_until_it_changes()
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        double shortest = _host.Context().Sampling.Round.TotalSeconds;
        await Eventually.IsTrue(() => loop.Status.RoundSeconds >= 3.9 * shortest);

        _host.HotPages = [.. _host.HotPages.Select(page => page + 1)];

        await Eventually.IsTrue(() => loop.Status.RoundSeconds <= 2 * shortest);
    }

    [Fact]
    public async Task Of_a_guest_that_does_the_same_rounds_are_passed_over_until_it_does_something_else()
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        double longest = _host.Context().Sampling.LongestRound.TotalSeconds;
        await Eventually.IsTrue(() => loop.Status.RoundSeconds >= 7.9 * longest);
        Assert.Equal(_host.HotPages.Count, _host.HotFastPages);
        (long rounds, int harvests) = (loop.Status.Rounds, _host.Harvests);
        await RoundsAsync(loop, 4);
        // A look takes two harvests and a round five, one more if it began with a look.
        Assert.InRange((_host.Harvests - harvests) / (double)(loop.Status.Rounds - rounds), 12, 25);

        int shifted = 0;
        _host.BeforeMove = () => shifted = shifted == 0 ? _host.Harvests : shifted;
        _host.HotPages = [.. _host.HotPages.Select(page => page + 1)];
        harvests = _host.Harvests;
        await Eventually.IsTrue(() => _host.HotFastPages == _host.HotPages.Count);
        // The look that was under way, the next one, which finds it, and the round.
        Assert.InRange(shifted - harvests, 0, 2 + 6);
    }

    [Fact]
    public async Task Where_a_write_weighs_otherwise_than_a_read_no_round_is_passed_over()
    {
        await using DomainLoop loop = new(
            _host.Context(new AgentConfig { WriteWeight = 4 }), Domains.ThisProcess, Domains.Running().Orders(Budget));
        double longest = _host.Context().Sampling.LongestRound.TotalSeconds;
        await Eventually.IsTrue(() => loop.Status.RoundSeconds >= longest);
        await RoundsAsync(loop, 1);
        (long rounds, int harvests) = (loop.Status.Rounds, _host.Harvests);
        await RoundsAsync(loop, 6);
        Assert.InRange((_host.Harvests - harvests) / (double)(loop.Status.Rounds - rounds), 0, 8);
    }

    [Theory]
    [InlineData("pages moved by others")]
    [InlineData("memory given back")]
    [InlineData("new memory")]
    [InlineData("orders")]
    public async Task No_round_is_passed_over_when_anything_else_has_changed(string what)
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        double longest = _host.Context().Sampling.LongestRound.TotalSeconds;
        await Eventually.IsTrue(() => loop.Status.RoundSeconds >= 4 * longest);

        // Between any two harvests, so that each look finds it.
        int change = 0;
        HashSet<int> hot = _host.HotPages;
        _host.BeforeHarvest = () =>
        {
            change++;
            if (what == "pages moved by others")
            {
                _host.Time.Skip(TimeSpan.FromSeconds(1)); // as old as what is known of it may be
                _host.MovedByOthers += 10;
            }
            else if (what == "memory given back")
            {
                _host.SetResident(FakeHost.GuestPages - (10 * (change % 100)));
            }
            else if (what == "new memory")
            {
                _host.HotPages = [.. hot, .. Enumerable.Range(3000 + (change % 100 * 10), 10)];
            }
            else
            {
                loop.Update(Domains.Running().Orders(Budget + (change % 2)));
            }
        };
        await RoundsAsync(loop, 1);
        (long rounds, int harvests) = (loop.Status.Rounds, _host.Harvests);
        await RoundsAsync(loop, 6);
        Assert.InRange((_host.Harvests - harvests) / (double)(loop.Status.Rounds - rounds), 0, 8);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Looking_stays_within_its_share_of_a_cpu_and_orders_end_a_rest(bool harvests)
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => _host.FastPages <= Budget);

        // Half a CPU is the limit: one such harvest pays for two minutes, and there are four in a round, but maybe not in this.
        if (harvests)
            _host.HarvestTime = TimeSpan.FromMinutes(1);
        else
            _host.LookTime = TimeSpan.FromMinutes(1);
        await Eventually.IsTrue(() => loop.Status.RoundSeconds >= 120);
        int before = _host.Harvests;
        await Task.Delay(200, TestContext.Current.CancellationToken);
        Assert.Equal(before, _host.Harvests);

        _host.HarvestTime = _host.LookTime = TimeSpan.Zero;
        loop.Update(Domains.Running().Orders(Budget / 2));
        await Eventually.IsTrue(() => _host.FastPages <= Budget / 2);
    }

    [Fact]
    public async Task Moves_that_take_long_have_to_earn_more_and_are_spread_over_rounds()
    {
        _host.MoveTime = TimeSpan.FromMilliseconds(1);
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        Assert.InRange(loop.Status.MoveCost, 0, 1);
        await Eventually.IsTrue(() => _host.FastPages <= Budget && loop.Status.MoveCost == 4);

        // A whole CPU moves 80 of them in the four fifths of a second in which four rounds can be, and there are 512.
        long rounds = loop.Status.Rounds;
        loop.Update(Domains.Running().Orders(Budget / 2));
        await Eventually.IsTrue(() => _host.FastPages <= Budget / 2);

        Assert.InRange(loop.Status.Rounds - rounds, 5, long.MaxValue);
    }

    [Fact]
    public async Task Curve_ends_where_the_hot_set_does()
    {
        await using DomainLoop loop = Start(Domains.Running().Orders(Budget));
        await RoundsAsync(loop, 12);

        Assert.InRange(loop.Curve!.SlowShare(_host.HotPages.Count), 0, 0.05);
        Assert.InRange(loop.Curve.SlowShare(_host.HotPages.Count / 2), 0.45, 0.55);
        Assert.InRange(loop.Curve.Error, 0, 0.1);
    }

    private DomainLoop Start(DomainOrders orders) => new(_host.Context(), Domains.ThisProcess, orders);

    private static async Task RoundsAsync(DomainLoop loop, int count)
    {
        long until = loop.Status.Rounds + count;
        await Eventually.IsTrue(() => loop.Status.Rounds >= until);
    }
}
