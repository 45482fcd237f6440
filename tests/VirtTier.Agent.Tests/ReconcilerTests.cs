// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests;

public sealed class ReconcilerTests : IAsyncDisposable
{
    private readonly FakeHost _host = new();
    private readonly Reconciler _reconciler;

    public ReconcilerTests()
    {
        AgentConfig config = new() { Defaults = new TieringSettings { Dram = SizeSpec.Parse("25%") } };
        _reconciler = new Reconciler(config, _host.Context(config));
    }

    public async ValueTask DisposeAsync()
    {
        await _reconciler.DisposeAsync();
        _host.Dispose();
    }

    [Fact]
    public async Task What_runs_is_attached_and_what_has_gone_is_detached()
    {
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(name: "a"), Domains.Running(name: "b")));
        await Eventually.IsTrue(() => _host.Attached == 2);

        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(name: "b")));

        await Eventually.IsTrue(() => _host.Attached == 1);
        Assert.Equal(["b"], _reconciler.Status().Domains.Select(d => d.Name));
    }

    [Fact]
    public async Task A_picture_that_is_there_already_at_the_start_is_followed()
    {
        DomainSnapshot first = Domains.Snapshot(Domains.Running());
        TaskCompletionSource<DomainSnapshot> none = new();
        using CancellationTokenSource stop = new();
        Task loop = _reconciler.ReconcileForeverAsync(
            (seen, token) => seen == first.Version ? none.Task.WaitAsync(token) : Task.FromResult(first), _ => { },
            _host.Loops.Add("following", LoopWatch.UsualLimit), stop.Token);

        await Eventually.IsTrue(() => _host.Attached == 1);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => loop);
    }

    [Fact]
    public async Task A_domain_of_which_another_source_tells_is_let_go_of_before_it_is_taken_up_again()
    {
        using ManualResetEventSlim free = new();
        RunningDomain plain = Domains.Running() with { Source = "qemu", Id = "/run/web1.pid" };
        await _reconciler.ReconcileAsync(Domains.Snapshot(plain));
        await Eventually.IsTrue(() => _host.Attached == 1);
        _host.BeforeDetach = _ => free.Wait(CancellationToken.None);

        await _reconciler.ReconcileAsync(Domains.Snapshot(plain with { Source = "libvirt", Id = "web1" }));
        await Task.Delay(200, TestContext.Current.CancellationToken);
        Assert.Equal(1, _host.Attachments); // two samplers of one process are refused, and what was learned is not saved yet
        free.Set();
        await Eventually.IsTrue(() => _host is { Attachments: 2, Attached: 1 });
        Assert.Equal("libvirt:web1", Assert.Single(_reconciler.Status().Domains).Key.Full);
    }

    [Fact]
    public async Task What_is_promised_to_domains_of_all_sources_counts_at_a_start()
    {
        RunningDomain[] domains = [.. DomainSources.All.Select(source => Domains.Running(name: source) with
        {
            Source = source,
            Settings = new TieringSettings { Min = SizeSpec.Parse("4MiB"), Dram = SizeSpec.Parse("auto") },
        })];
        await _reconciler.ReconcileAsync(Domains.Snapshot(domains));
        PoolPromises promises = _reconciler.Promises();
        Assert.All(domains, domain => Assert.Equal(4L << 20, promises.ByDomain[domain.Key]));
        long left = promises.PoolBytes - (domains.Length * (4L << 20));
        AdmissionControl admission = new(_reconciler.Promises, TimeProvider.System);
        DomainDefinition next = new(Guid.NewGuid(), "next", (ulong)promises.PoolBytes, Min(left), []);
        Assert.Null(admission.Admit(next));
        admission.Forget(next.Key);
        Assert.Contains("is promised to 4 other domains", admission.Admit(next with { Settings = Min(left + (1 << 20)) }),
            StringComparison.Ordinal);

        static TieringSettings Min(long bytes) => new() { Min = SizeSpec.Parse($"{bytes >> 20}MiB") };
    }

    [Fact]
    public async Task Two_of_one_uuid_and_name_are_two_domains_where_they_are_of_two_sources()
    {
        RunningDomain ours = Domains.Running(dram: "4MiB");
        RunningDomain pods = ours with { Source = "kubevirt", Settings = new TieringSettings { Dram = SizeSpec.Parse("2MiB") } };
        await _reconciler.ReconcileAsync(Domains.Snapshot(ours, pods));
        await _reconciler.ReconcileAsync(Domains.Snapshot(ours, pods));

        await Eventually.IsTrue(() => _host.Attached == 2);
        Assert.Equal([("libvirt", 4L << 20), ("kubevirt", 2L << 20)],
            _reconciler.Status().Domains.Select(d => (d.Source, d.BudgetBytes)));

        await _reconciler.ReconcileAsync(Domains.Snapshot(pods));
        await Eventually.IsTrue(() => _host.Attached == 1);
        Assert.Equal(2, _host.Attachments); // the other was left as it was
    }

    [Fact]
    public async Task The_same_picture_twice_changes_nothing()
    {
        DomainSnapshot snapshot = Domains.Snapshot(Domains.Running());
        await _reconciler.ReconcileAsync(snapshot);
        await Eventually.IsTrue(() => _reconciler.Status().Domains[0].Rounds > 0);

        await _reconciler.ReconcileAsync(snapshot);

        await Eventually.IsTrue(() => _host.Attached == 1);
        Assert.NotEqual(0, _reconciler.Status().Domains[0].Rounds);
    }

    [Fact]
    public async Task A_domain_that_came_back_as_another_process_is_attached_anew()
    {
        RunningDomain old = Domains.Running() with { Process = Domains.ThisProcess with { StartTime = 1 } };
        await _reconciler.ReconcileAsync(Domains.Snapshot(old));

        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running()));

        await Eventually.IsTrue(() => _reconciler.Status().Domains[0].State == TieringState.Tiering);
    }

    [Fact]
    public async Task Mode_off_detaches_and_says_so()
    {
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running()));
        await Eventually.IsTrue(() => _host.Attached == 1);

        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(mode: TieringMode.Off)));

        await Eventually.IsTrue(() => _host.Attached == 0);
        Assert.Equal(TieringState.Off, _reconciler.Status().Domains[0].State);
    }

    [Fact]
    public async Task A_domain_without_a_known_process_is_shown_with_the_reason()
    {
        await _reconciler.ReconcileAsync(Domains.Snapshot(
            Domains.Running() with { Process = null, ProcessProblem = "no pid file" }));

        DomainStatus status = Assert.Single(_reconciler.Status().Domains);
        Assert.Equal(TieringState.Attaching, status.State);
        Assert.StartsWith("no pid file; ", status.Reason, StringComparison.Ordinal);
        Assert.True(status.NeedsAttention);
    }

    [Fact]
    public async Task Budgets_come_from_metadata_then_from_the_defaults()
    {
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running("4MiB", name: "a"), Domains.Running(name: "b")));

        Assert.Equal([4L << 20, FakeHost.GuestPages * 4096L / 4], _reconciler.Status().Domains.Select(d => d.BudgetBytes));
    }

    [Fact]
    public async Task A_share_is_of_what_the_balloon_leaves_and_a_size_is_a_size()
    {
        const ulong Half = FakeHost.GuestPages * 4096UL / 2;
        await _reconciler.ReconcileAsync(Domains.Snapshot(
            Domains.Running("25%", name: "a") with { CurrentMemoryBytes = Half },
            Domains.Running("4MiB", name: "b") with { CurrentMemoryBytes = Half }));

        Assert.Equal([(long)Half / 4, 4L << 20], _reconciler.Status().Domains.Select(d => d.BudgetBytes));
    }

    [Fact]
    public async Task Bad_settings_are_shown_by_attribute_with_what_would_be_right()
    {
        RunningDomain domain =
            Domains.Running("4MiB") with { SettingsProblems = [new SettingsProblem("dram", "lots", "say 2GiB")] };

        await _reconciler.ReconcileAsync(Domains.Snapshot(domain));

        DomainStatus status = Assert.Single(_reconciler.Status().Domains);
        Assert.Equal(new SettingProblemStatus("dram", "lots", "say 2GiB"), Assert.Single(status.Problems));
        Assert.Equal(4L << 20, status.BudgetBytes);
    }

    [Fact]
    public async Task Stopping_detaches_every_sampler()
    {
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(name: "a"), Domains.Running(name: "b")));
        await Eventually.IsTrue(() => _host.Attached == 2);

        await _reconciler.DisposeAsync();

        await Eventually.IsTrue(() => _host.Attached == 0);
    }

    [Fact]
    public async Task Another_configuration_holds_at_once_and_keeps_the_heat()
    {
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running()));
        await Eventually.IsTrue(() => _reconciler.Status().Domains[0].Rounds > 2);

        AgentConfig config = new() { Defaults = new TieringSettings { Dram = SizeSpec.Parse("2MiB") } };
        DomainLoopContext context = _host.Context(config);
        await _reconciler.ReconfigureAsync(
            config with
            {
                HarvestInterval = context.Sampling.Interval,
                HarvestsPerRound = context.Sampling.HarvestsPerRound,
                HarvestCpuShare = context.Sampling.CpuShare,
            },
            context.Host);

        Assert.Equal(2L << 20, _reconciler.Status().Domains[0].BudgetBytes);
        Assert.InRange(_reconciler.Status().Domains[0].Rounds, 3, long.MaxValue);
        Assert.Equal((1, 1), (_host.Attached, _host.Attachments));
    }

    [Fact]
    public async Task A_configuration_that_cannot_be_counted_with_changes_nothing()
    {
        AgentConfig bad = new()
        {
            Defaults = new TieringSettings { Dram = SizeSpec.FromBytes(ulong.MaxValue) },
            HarvestInterval = TimeSpan.FromMilliseconds(20),
        };
        RunningDomain plain = Domains.Running(name: "b");
        plain = plain with { Settings = plain.Settings with { Dram = SizeSpec.Unset } };
        await _reconciler.ReconcileAsync(Domains.Snapshot(plain));
        await Eventually.IsTrue(() => _host.Attached == 1);

        await Assert.ThrowsAsync<OverflowException>(() => _reconciler.ReconfigureAsync(bad, _host.Context(bad).Host));

        await _reconciler.ReconcileAsync(Domains.Snapshot(
            plain, Domains.Running(name: "later") with { Settings = plain.Settings }));
        await Eventually.IsTrue(() => (_host.Attached, _host.Attachments) == (2, 2));
    }

    [Fact]
    public async Task Other_sampling_or_other_tiers_start_each_domain_anew()
    {
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running()));
        await Eventually.IsTrue(() => _host.Attached == 1);

        AgentConfig config = new() { HarvestInterval = TimeSpan.FromMilliseconds(20) };
        await _reconciler.ReconfigureAsync(config, _host.Context(config).Host);

        await Eventually.IsTrue(() => (_host.Attached, _host.Attachments) == (1, 2));
        config = config with { FastNodes = [1], SlowTiers = [[0]] };
        await _reconciler.ReconfigureAsync(config, _host.Context(config).Host);
        await Eventually.IsTrue(() => (_host.Attached, _host.Attachments) == (1, 3));
        config = config with { WriteWeight = 2 };
        await _reconciler.ReconfigureAsync(config, _host.Context(config).Host);
        await Eventually.IsTrue(() => (_host.Attached, _host.Attachments) == (1, 4));
    }

    [Fact]
    public async Task The_pool_goes_where_it_is_used_and_stays_there()
    {
        AgentConfig config = new() { Pool = SizeSpec.Parse("8MiB"), DomainRate = ByteRate.Parse("1KiB/s") };
        await using Reconciler reconciler = new(config, _host.Context(config));
        _host.HotPagesOf[1] = [.. Enumerable.Range(0, 1500)];
        _host.HotPagesOf[2] = [.. Enumerable.Range(0, 10)];
        RunningDomain busy = Domains.Running("auto", name: "busy"), idle = Domains.Running("auto", name: "idle");
        await reconciler.ReconcileAsync(Domains.Snapshot(busy));
        await Eventually.IsTrue(() => _host.Attachments == 1);
        await reconciler.ReconcileAsync(Domains.Snapshot(busy, idle));
        Assert.Equal(4L << 20, BudgetOf(reconciler, "idle"));

        await Eventually.IsTrue(
            () => reconciler.Curve(busy.Key) is { Error: < 0.1 } && reconciler.Curve(idle.Key) is { Error: < 0.1 });
        await reconciler.DivideAgainAsync();

        Assert.InRange(BudgetOf(reconciler, "busy"), 1500 * 4096L, (8L << 20) - 1);
        Assert.Equal(8L << 20, BudgetOf(reconciler, "busy") + BudgetOf(reconciler, "idle"));
        long before = BudgetOf(reconciler, "busy");
        await reconciler.DivideAgainAsync();
        Assert.Equal(before, BudgetOf(reconciler, "busy"));
    }

    [Fact]
    public async Task What_was_learned_of_a_domain_that_has_gone_or_is_off_is_forgotten()
    {
        _host.HotPages = [1, 2, 3];
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(name: "a"), Domains.Running(name: "b")));
        await Eventually.IsTrue(() => _reconciler.Status().Domains.All(d => d.Rounds > 0));

        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(name: "b", mode: TieringMode.Off)));
        await Eventually.IsTrue(() => _host.Attached == 0 && Directory.Exists(_host.HeatDirectory));
        await _reconciler.DivideAgainAsync();
        Assert.Empty(Directory.GetFiles(_host.HeatDirectory));

        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running(name: "b")));
        await Eventually.IsTrue(() => _reconciler.Status().Domains[0].Rounds > 0);
        await _reconciler.DisposeAsync();
        Assert.Single(Directory.GetFiles(_host.HeatDirectory));
    }

    [Fact]
    public async Task Promises_are_fixed_budgets_and_minima_of_what_is_enforced()
    {
        RunningDomain fixedBudget = Domains.Running("4MiB", name: "a"),
            observed = Domains.Running("4MiB", TieringMode.Observe, "b");
        RunningDomain auto = Domains.Running("auto", name: "c");
        auto = auto with { Settings = auto.Settings with { Min = SizeSpec.Parse("2MiB") } };
        await _reconciler.ReconcileAsync(Domains.Snapshot(fixedBudget, observed, auto));

        Assert.Equal([4L << 20, 0, 2L << 20],
            new[] { fixedBudget, observed, auto }.Select(d => _reconciler.Promises().ByDomain[d.Key]));
    }

    [Fact]
    public async Task The_status_survives_its_way_over_the_bus()
    {
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running("4MiB")));

        AgentStatus status = _reconciler.Status();
        AgentStatus read = AgentStatus.FromJson(status.ToJson());

        Assert.Equal(status.ToJson(), read.ToJson());
        Assert.Equal(status.Domains[0].Uuid, read.Domains[0].Uuid);
        Assert.Equal(["fast", "slow"], read.Tiers.Select(t => t.Name));
    }

    private static long BudgetOf(Reconciler reconciler, string name) =>
        reconciler.Status().Domains.Single(d => d.Name == name).BudgetBytes;

    [Fact]
    public void Nodes_that_the_host_does_not_have_are_refused_by_name()
    {
        AgentConfig config = new() { FastNodes = [0], SlowTiers = [[7]] };

        ConfigException e = Assert.Throws<ConfigException>(() => _host.Context(config));

        Assert.Equal("tiers: unknown NUMA node 7: this host has 0-1", e.Message);
    }
}
