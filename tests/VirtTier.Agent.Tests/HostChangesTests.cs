// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Settings;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Migration;

namespace VirtTier.Agent.Tests;

/// <summary>Memory that comes to the host or goes while the agent runs.</summary>
public sealed class HostChangesTests : IAsyncDisposable
{
    private readonly FakeHost _host = new() { HotPages = [.. Enumerable.Range(0, 300)] };
    private AgentConfig _config = new() { Defaults = new TieringSettings { Dram = SizeSpec.Parse("25%") } };
    private Reconciler? _reconciler;

    public async ValueTask DisposeAsync()
    {
        if (_reconciler is not null)
            await _reconciler.DisposeAsync();
        _host.Dispose();
    }

    [Fact]
    public async Task A_node_that_comes_is_taken_up_and_guests_keep_their_heat()
    {
        (Reconciler reconciler, HostWatch watch) = await StartAsync();
        long learned = reconciler.Status().Domains[0].HeatRounds;
        _host.AddNode(2, 512);

        await watch.LookAsync();
        await watch.LookAsync();

        Assert.Equal(["0", "1,2"], reconciler.Status().Tiers.Select(tier => string.Join(',', tier.Nodes)));
        Assert.Single(
            _host.Log.Lines,
            line => line.Contains("the host's memory has changed: fast: node 0 with 1 GiB; slow: node 1-2 with",
                StringComparison.Ordinal));
        await Eventually.IsTrue(() => reconciler.Status().Domains[0] is { State: TieringState.Tiering, Rounds: > 0 });
        Assert.True(reconciler.Status().Domains[0].HeatRounds > learned, "heat was learned anew");
    }

    [Fact]
    public async Task A_node_that_goes_is_forgotten_and_the_VM_is_only_watched_until_it_is_back()
    {
        (Reconciler reconciler, HostWatch watch) = await StartAsync();
        _host.Write("sys/devices/system/node/online", "0");
        await watch.LookAsync();
        Assert.Equal(["0"], reconciler.Status().Tiers.Select(tier => string.Join(',', tier.Nodes)));
        await Eventually.IsTrue(() => reconciler.Status().Domains[0] is { StateName: "observing", Rounds: > 2, Reason: null });
        Assert.False(reconciler.Status().Domains[0].NeedsAttention);
        Assert.Equal("enforce", reconciler.Status().Domains[0].Mode); // as it will be when the node is back
        long moved = _host.MovedPages;
        long rounds = reconciler.Status().Domains[0].Rounds;
        await Eventually.IsTrue(() => reconciler.Status().Domains[0].Rounds > rounds + 2);
        await Eventually.IsTrue(() => reconciler.Curve(Domains.Running().Key) is not null);
        Assert.Equal(moved, _host.MovedPages);

        _host.Write("sys/devices/system/node/online", "0-1");
        await watch.LookAsync();
        await Eventually.IsTrue(
            () => reconciler.Status().Domains[0] is { StateName: "tiering" or "settling", Rounds: > 0, Reason: null });
    }

    [Fact]
    public async Task Without_a_slow_tier_a_VM_that_is_followed_between_sockets_is_not_called_observed()
    {
        _host.AddSocket(slow: false);
        _host.Write("proc/sys/kernel/numa_balancing", "0");
        (Reconciler reconciler, _) = await StartAsync();
        await Eventually.IsTrue(
            () => reconciler.Status() is { Rehomes: true, Domains: [{ StateName: "following", Rounds: > 2 }] });
    }

    [Fact]
    public async Task Without_a_slow_tier_a_VM_is_observed_where_the_kernel_moves_its_pages()
    {
        _host.AddSocket(slow: false);
        _host.Write("proc/sys/kernel/numa_balancing", "1");
        (Reconciler reconciler, _) = await StartAsync();
        await Eventually.IsTrue(
            () => reconciler.Status() is { Rehomes: false, Domains: [{ StateName: "observing", Rounds: > 2 }] });
    }

    [Fact]
    public async Task A_node_with_less_memory_makes_a_smaller_pool_and_disturbs_no_guest()
    {
        (Reconciler reconciler, HostWatch watch) = await StartAsync();
        int attachments = _host.Attachments;
        double pool = reconciler.Status().PoolBytes;
        _host.Resize(0, 768);
        await watch.LookAsync();
        Assert.Equal(0.75, reconciler.Status().PoolBytes / pool, 0.001);
        Assert.Equal(768L << 20, reconciler.Status().Tiers[0].TotalBytes);
        long rounds = reconciler.Status().Domains[0].Rounds;
        await Eventually.IsTrue(() => reconciler.Status().Domains[0].Rounds > rounds + 2);
        Assert.Equal(attachments, _host.Attachments);
    }

    [Fact]
    public async Task A_slow_node_with_less_memory_is_noticed_though_the_pool_is_the_same()
    {
        (Reconciler reconciler, HostWatch watch) = await StartAsync();
        _host.Resize(1, 256);
        await watch.LookAsync();
        Assert.Equal(256L << 20, reconciler.Status().Tiers[1].TotalBytes);
        Assert.Single(_host.Log.Lines, line => line.Contains("slow: node 1 with 256 MiB", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Nothing_new_changes_nothing()
    {
        (_, HostWatch watch) = await StartAsync();
        int attachments = _host.Attachments;
        for (int i = 0; i < 3; i++)
            await watch.LookAsync();
        Assert.Equal(attachments, _host.Attachments);
        Assert.DoesNotContain(_host.Log.Lines, line => line.Contains("has changed", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_cannot_be_followed_is_said_once_and_leaves_all_as_it_is()
    {
        _config = _config with { FastNodes = [0], SlowTiers = [[1]] };
        (Reconciler reconciler, HostWatch watch) = await StartAsync();
        _host.Write("sys/devices/system/node/online", "0");
        for (int i = 0; i < 3; i++)
            await watch.LookAsync();
        _host.Write("sys/devices/system/node/online", "0-x");
        for (int i = 0; i < 3; i++)
            await watch.LookAsync();

        Assert.Equal(["0", "1"], reconciler.Status().Tiers.Select(tier => string.Join(',', tier.Nodes)));
        Assert.Single(_host.Log.Lines, line => line.Contains("unknown NUMA node 1", StringComparison.Ordinal));
        Assert.Single(_host.Log.Lines, line => line.Contains("node/online: '0-x' is neither", StringComparison.Ordinal));
        Assert.Equal(1, _host.Attached);
    }

    [Fact]
    public async Task The_loop_looks_by_itself()
    {
        (Reconciler reconciler, _) = await StartAsync();
        using CancellationTokenSource stop = new();
        Task loop = new HostWatch(reconciler, _host.ReadTopology, _host.Time, _host.Log)
        {
            Interval = TimeSpan.FromMilliseconds(20),
        }.RunAsync(_host.Loops.Add("watching", LoopWatch.UsualLimit), stop.Token);
        _host.AddNode(2, 512);
        await Eventually.IsTrue(() => reconciler.Status().Tiers[1].Nodes.Contains(2));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => loop);
    }

    [Fact]
    public async Task With_the_nearest_slow_node_full_the_budget_is_kept_by_the_next()
    {
        _host.AddNode(2, 512);
        _host.FullNodes.Add(1);
        (Reconciler reconciler, _) = await StartAsync();

        await Eventually.IsTrue(() => _host.FastPages <= FakeHost.GuestPages / 4);

        Assert.Contains(2, _host.NodeOf);
        Assert.DoesNotContain(1, _host.NodeOf);
        await Eventually.IsTrue(() => reconciler.Status().Domains[0] is { Reason: null, Rounds: > 3 });
        DomainStatus status = reconciler.Status().Domains[0];
        Assert.DoesNotContain(nameof(MoveOutcome.TargetFull), status.Unmoved.Keys);
    }

    [Fact]
    public async Task A_slow_node_that_a_cpuset_forbids_is_passed_over_while_another_is_allowed()
    {
        _host.AddNode(2, 512);
        _host.Forbidden = new ForbiddenNode(1, [0, 2], "echo 0-2 > cpuset.mems");
        (Reconciler reconciler, _) = await StartAsync();

        await Eventually.IsTrue(() => _host.FastPages <= FakeHost.GuestPages / 4);

        Assert.DoesNotContain(1, _host.NodeOf);
        await Eventually.IsTrue(() => reconciler.Status().Domains[0] is { Reason: null, Rounds: > 3 });
    }

    private async Task<(Reconciler Reconciler, HostWatch Watch)> StartAsync()
    {
        DomainLoopContext context = _host.Context(_config);
        _reconciler = new Reconciler(_config, context);
        await _reconciler.ReconcileAsync(Domains.Snapshot(Domains.Running()));
        await Eventually.IsTrue(() => _reconciler.Status().Domains[0].HeatRounds > 1);
        return (_reconciler, new HostWatch(_reconciler, _host.ReadTopology, _host.Time, _host.Log));
    }
}
