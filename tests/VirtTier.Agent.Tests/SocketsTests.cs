// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests;

/// <summary>Hosts of more than one fast node, or more than two tiers: which node each page comes to.</summary>
public sealed class SocketsTests : IDisposable
{
    private const int Budget = 2048;
    private const int Hot = 600;

    private readonly FakeHost _host = new() { HotPages = [.. Enumerable.Range(3000, Hot)] };

    public SocketsTests() => _host.BeforeHarvest = () => _host.Time.Skip(TimeSpan.FromSeconds(1));

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Hot_pages_come_to_where_the_guest_runs_and_cold_ones_stay_behind_their_own_node()
    {
        _host.AddSocket();
        _host.VcpusOn[0] = 2;
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => HotOn(1) == Hot && FastPages <= Budget);

        Assert.Equal(0, _host.PagesByNode[3]);
        Assert.Equal(Hot, _host.PagesByNode[1]); // no cold page went along
        await Eventually.IsTrue(() => loop.Status is { Home: [{ Node: 1, Share: 1 }], HotAwayBytes: 0, Reason: null });
        Assert.InRange(loop.Status.RehomedPages, Hot, Hot + (Hot / 10));
    }

    [Fact]
    public async Task A_guest_that_moves_to_the_other_socket_is_followed_and_one_that_looks_in_there_is_not()
    {
        _host.AddSocket();
        _host.VcpusOn[0] = 0;
        await using DomainLoop loop = Start();
        await Eventually.IsTrue(() => loop.Status is { Home: [{ Node: 0 }] } && FastPages <= Budget);

        _host.BeforeHarvest = () =>
        {
            _host.Time.Skip(TimeSpan.FromSeconds(1));
            _host.VcpusOn[0] = _host.Harvests % 10 < 4 ? 2 : 0; // to and fro
        };
        long rounds = loop.Status.Rounds;
        await Eventually.IsTrue(() => loop.Status.Rounds > rounds + 30);
        Assert.Equal(0, loop.Status.RehomedPages);
        Assert.Equal(Hot, HotOn(0));

        _host.BeforeHarvest = () => _host.Time.Skip(TimeSpan.FromSeconds(1));
        _host.VcpusOn[0] = 2;
        await Eventually.IsTrue(() => HotOn(1) == Hot);
        Assert.Equal(0, _host.PagesByNode[3]);
    }

    [Fact]
    public async Task Each_cell_of_a_guest_has_its_home_by_where_its_virtual_CPUs_may_run_or_did()
    {
        _host.AddSocket();
        _host.HotPages = [.. Enumerable.Range(1000, 300), .. Enumerable.Range(3000, 300)];
        _host.VcpusOn[0] = 0;
        _host.VcpusOn[1] = 0; // it stands still where it started, and may run elsewhere only
        _host.Idle.Add(1);
        _host.Pins[1] = "2-3";
        RunningDomain domain = Domains.Running() with { Numa = NumaHints.None with { Cells = "0:0:8192;1:1:8192" } };
        await using DomainLoop loop = Start(domain);

        await Eventually.IsTrue(() => Enumerable.Range(3000, 300).All(page => _host.NodeOf[page] == 1) && FastPages <= Budget);

        Assert.All(Enumerable.Range(1000, 300), page => Assert.Equal(0, _host.NodeOf[page]));
        Assert.Equal([0.5, 0.5], loop.Status.Home.Select(home => home.Share));
    }

    [Theory]
    [InlineData(null, null, "1:preferred:1", 1)]
    [InlineData(null, null, "1:strict:1,3", 1)]
    [InlineData(null, null, "1:restrictive:1,3", 1)]
    [InlineData("preferred", "1", null, 1)]
    [InlineData("preferred", "7", null, 0)]
    [InlineData(null, null, "0:preferred:1", 0)]
    public async Task What_the_owner_says_goes_before_where_it_runs(string? mode, string? nodes, string? cellNodes, int home)
    {
        _host.AddSocket();
        _host.VcpusOn[0] = 0;
        RunningDomain domain = Domains.Running() with
        {
            Numa = NumaHints.None with
            {
                Mode = mode,
                Nodeset = nodes,
                Cells = cellNodes is null ? null : "0:0:8192;1:0:8192",
                CellNodes = cellNodes,
                RestrictiveCells = cellNodes?.Contains("restrictive", StringComparison.Ordinal) == true ? "1:1,3" : null,
            },
        };
        await using DomainLoop loop = Start(domain);

        await Eventually.IsTrue(() => HotOn(home) == Hot && FastPages <= Budget && loop.Status.Rounds > 10);
        Assert.Equal(0, _host.NodeOf.Take(2048).Count(node => node == 3));
        Assert.Null(loop.Status.Reason);
    }

    [Fact]
    public async Task Memory_that_is_bound_to_one_socket_is_tiered_within_it()
    {
        _host.AddSocket();
        Array.Fill(_host.NodeOf, 1);
        _host.Bound = [(0, FakeHost.GuestPages, [1, 3])];
        _host.VcpusOn[0] = 0;
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => _host.PagesByNode[1] <= Budget && loop.Status.Rounds > 10);

        Assert.Equal(FakeHost.GuestPages, _host.PagesByNode[1] + _host.PagesByNode[3]);
        Assert.Equal(Hot, HotOn(1));
    }

    [Fact]
    public async Task Memory_that_is_bound_piece_by_piece_stays_on_the_socket_of_each_piece()
    {
        const int piece = 32;
        _host.AddSocket();
        // In no order, each third piece free.
        int[][] sockets = [[0, 2], [1, 3]];
        _host.Bound = [.. Enumerable.Range(0, FakeHost.GuestPages / piece)
            .Where(i => i % 3 < 2).Reverse().Select(i => (i * piece, piece, sockets[i % 3]))];
        foreach ((int first, int count, int[] nodes) in _host.Bound)
            Array.Fill(_host.NodeOf, (byte)nodes[0], first, count);
        _host.VcpusOn[0] = 0;
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => FastPages <= Budget && HotOn(0) + HotOn(1) == Hot && loop.Status.Rounds > 10);

        Assert.All(_host.Bound, of => Assert.All(
            _host.NodeOf.Skip(of.First).Take(of.Count), node => Assert.Contains(node, of.Nodes)));
    }

    [Fact]
    public async Task A_full_home_overflows_to_the_other_fast_node_before_anything_is_called_full()
    {
        _host.AddSocket();
        Array.Fill(_host.NodeOf, 2);
        _host.VcpusOn[0] = 0;
        _host.RoomOf[0] = 200;
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => HotOn(0) + HotOn(1) == Hot);

        Assert.InRange(HotOn(0), 1, 200);
        Assert.Null(loop.Status.Reason);
    }

    [Theory]
    [InlineData("0", 1)]
    [InlineData("1", 0)]
    public async Task Without_a_slow_tier_hot_pages_follow_unless_the_kernel_does_it(string balancing, int node)
    {
        _host.AddSocket(slow: false);
        _host.Write("proc/sys/kernel/numa_balancing", balancing);
        _host.VcpusOn[0] = 2;
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => HotOn(node) == Hot && loop.Status.Rounds > 20);

        Assert.Equal(FakeHost.GuestPages - Hot,
            _host.NodeOf.Where((of, page) => !_host.HotPages.Contains(page)).Count(of => of == 0));
    }

    [Fact]
    public async Task A_confidential_guest_is_not_followed()
    {
        _host.AddSocket(slow: false);
        _host.Write("proc/sys/kernel/numa_balancing", "0");
        _host.Confidential = true;
        _host.VcpusOn[0] = 2;
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => loop.Status.Rounds > 20);

        Assert.Equal(FakeHost.GuestPages, _host.PagesByNode[0]);
    }

    [Fact]
    public async Task Pages_go_down_one_step_at_a_time_and_the_coldest_make_room()
    {
        _host.AddNode(2, 1024);
        AgentConfig config = new() { FastNodes = [0], SlowTiers = [[1], [2]] };
        // Node 1 has 1 GiB, of which a thirty-second is to be free: 8192 pages.
        _host.RoomOf[1] = 8192 + 500;
        await using DomainLoop loop = new(_host.Context(config), Domains.ThisProcess, Domains.Running().Orders(Budget));

        await Eventually.IsTrue(() => _host.PagesByNode[0] <= Budget && _host.PagesByNode[1] <= 500 && _host.PagesByNode[2] > 0);

        await Eventually.IsTrue(() => loop.Status.SunkPages > 0); // told after the moves
        Assert.Equal(Hot, HotOn(0));
        Assert.Equal(["fast", "slow", "slower"], _host.Context(config).Host.Status().Select(tier => tier.Name));
    }

    [Theory]
    [InlineData(2000)] // the slow node has room
    [InlineData(0)] // it is full of pages that are never used: they make room
    public async Task Of_pages_that_find_no_room_in_DRAM_the_warmer_are_on_the_nearer_slow_node(int room)
    {
        const int cold = 1400;
        const int warm = 300;
        _host.AddNode(2, 1024);
        AgentConfig config = new() { FastNodes = [0], SlowTiers = [[1], [2]] };
        HashSet<int> hot = [.. Enumerable.Range(0, Budget)];
        HashSet<int> hotAndWarm = [.. Enumerable.Range(0, Budget + warm)];
        Array.Fill(_host.NodeOf, 2, Budget, FakeHost.GuestPages - Budget);
        Array.Fill(_host.NodeOf, 1, Budget + warm, cold);
        // Node 1 has 1 GiB: a thirty-second of it is always to be free, twice that before anything comes up.
        _host.RoomOf[1] = (2 * 8192) + cold + room;
        _host.BeforeHarvest = () =>
        {
            _host.Time.Skip(TimeSpan.FromSeconds(1));
            _host.HotPages = _host.Harvests % 3 == 0 ? hotAndWarm : hot;
        };
        await using DomainLoop loop = new(_host.Context(config), Domains.ThisProcess, Domains.Running().Orders(Budget));

        await Eventually.IsTrue(() => WarmOn(1) + WarmOn(0) >= warm * 9 / 10);

        await Eventually.IsTrue(() => loop.Status.RaisedPages > 0);
        Assert.Equal(room == 0, loop.Status.SunkPages > 0);
        int[] before = _host.PagesByNode;
        long rounds = loop.Status.Rounds;
        long raised = loop.Status.RaisedPages;
        await Eventually.IsTrue(() => loop.Status.Rounds > rounds + 30);
        Assert.InRange(loop.Status.RaisedPages - raised, 0, warm); // no going back and forth

        int WarmOn(int node) => Enumerable.Range(Budget, warm).Count(page => _host.NodeOf[page] == node);
    }

    private int FastPages => _host.PagesByNode[0] + _host.PagesByNode[1];

    private int HotOn(int node) => _host.HotPages.Count(page => _host.NodeOf[page] == node);

    private DomainLoop Start(RunningDomain? domain = null) =>
        new(_host.Context(), Domains.ThisProcess, (domain ?? Domains.Running()).Orders(Budget));
}
