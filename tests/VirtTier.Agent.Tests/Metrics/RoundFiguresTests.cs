// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Memory.Processes;

namespace VirtTier.Agent.Tests.Metrics;

/// <summary>The figures of rounds that metrics are made of, on a host on which the truth is known.</summary>
public sealed class RoundFiguresTests : IDisposable
{
    private const int Budget = 1024;

    private readonly FakeHost _host = new()
    {
        HotPages = [.. Enumerable.Range(0, 600).Select(i => i * 5)],
        HarvestTime = TimeSpan.FromMilliseconds(2),
        MoveTime = TimeSpan.FromMicroseconds(3),
    };

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Nodes_share_of_slow_accesses_and_cpu_time_are_those_of_the_host()
    {
        await using DomainLoop loop = Start();
        await Eventually.IsTrue(() => _host.FastPages <= Budget && _host.HotFastPages == _host.HotPages.Count);
        long rounds = loop.Status.Rounds;
        await Eventually.IsTrue(() => loop.Status is { SlowAccessError: not null } status && status.Rounds > rounds + 8);

        DomainStatus settled = loop.Status;
        Assert.Equal(FakeHost.GuestPages * 4096L, settled.ByNode.Sum(n => n.Bytes));
        Assert.Equal([0, 1], settled.ByNode.Select(n => n.Node));
        Assert.InRange(settled.ByNode[0].Bytes, 1, Budget * 4096L);
        Assert.InRange(settled.SlowAccessShare, 0, 0.05);
        Assert.InRange(settled.SlowAccessError ?? 1, 0, 0.5);
        Assert.InRange(settled.HarvestSeconds, 0.002 * settled.Rounds, 0.002 * _host.Harvests);
        Assert.InRange(settled.MoveSeconds, 3e-6 * (FakeHost.GuestPages - Budget), 3e-6 * _host.MovedPages);
        Assert.False(settled.IsForbidden);
    }

    [Fact]
    public async Task Accesses_to_pages_that_may_not_be_promoted_are_slow_ones()
    {
        _host.Forbidden = new ForbiddenNode(0, [1], "echo 0-1 > mems");
        Array.Fill(_host.NodeOf, 1);
        await using DomainLoop loop = Start();
        await Eventually.IsTrue(() => loop.Status is { Rounds: > 4, IsForbidden: true });

        Assert.InRange(loop.Status.SlowAccessShare, 0.99, 1);
        Assert.Equal((1, FakeHost.GuestPages * 4096L), (Assert.Single(loop.Status.ByNode).Node, loop.Status.ByNode[0].Bytes));

        _host.Forbidden = null;
        await Eventually.IsTrue(() => loop.Status is { IsForbidden: false, SlowAccessShare: < 0.05 });
    }

    [Fact]
    public void A_loop_that_says_nothing_is_silent_for_as_long()
    {
        WatchedLoop loop = _host.Loops.Add("dividing", TimeSpan.FromMinutes(1));
        _host.Time.Skip(TimeSpan.FromHours(1));
        LoopStatus status = Assert.Single(_host.Loops.Status());
        Assert.Equal(("dividing", 60.0), (status.Does, status.LimitSeconds));
        Assert.InRange(status.SilentSeconds, 3600, 7200);
        loop.Progress();
        Assert.InRange(_host.Loops.Status()[0].SilentSeconds, 0, 3599);
        loop.Dispose();
        Assert.Empty(_host.Loops.Status());
    }

    private DomainLoop Start() => new(_host.Context(), Domains.ThisProcess, Domains.Running().Orders(Budget));
}
