// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Processes;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests;

/// <summary>A guest part of whose memory is bound strictly to nodes, as the kernel says of its process.</summary>
public sealed class BoundMemoryTests : IDisposable
{
    private const int Budget = 2048;
    private const ulong Address = 0x7000_0000_0000;

    // The first quarter of the guest is cold, so that it would be demoted first.
    private readonly FakeHost _host = new() { HotPages = [.. Enumerable.Range(3000, 600)] };

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Bound_pages_stay_and_the_others_keep_the_budget()
    {
        _host.Bound = [(0, 1024, [0])];
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => _host.FastPages <= Budget && loop.Status.Rounds > 5);

        Assert.All(_host.NodeOf.Take(1024), node => Assert.Equal(0, node));
        Assert.InRange(_host.FastPages, 1024 + 600, Budget);
        Assert.Equal(_host.HotPages.Count, _host.HotFastPages);
        DomainStatus status = loop.Status;
        Assert.Equal(_host.FastPages * 4096L, status.FastBytes);
        Assert.Equal((FakeHost.GuestPages - _host.FastPages) * 4096L, status.SlowBytes);
        Assert.StartsWith("4 MiB of its memory is bound strictly to node 0 and stays there", status.Reason,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Room_for_new_pages_is_made_after_each_harvest_and_bound_pages_do_not_pass_for_new_ones()
    {
        const int born = 40;
        _host.Bound = [(0, 512, [0])];
        _host.HotPages = [.. Enumerable.Range(0, 512), .. Enumerable.Range(1000, 400)];
        // DRAM that is free at first has to be full before room is made: what is born is more than that.
        _host.GrownTo = 2000;
        HashSet<(long Round, int Harvest)> moves = [];
        await using DomainLoop tierer = Start();
        await Eventually.IsTrue(() => tierer.Status.Rounds > 2 && _host.HotFastPages == _host.HotPages.Count);
        _host.BeforeMove = () => moves.Add((tierer.Status.Rounds, _host.Harvests));
        _host.BornPerHarvest = born;
        await Eventually.IsTrue(() => _host.GrownTo == FakeHost.GuestPages);
        _host.BeforeMove = null;

        int[] byRound = [.. moves.GroupBy(m => m.Round).Select(g => g.Count())];
        Assert.True(byRound.Max() > 2, $"moves by round: {string.Join(", ", byRound)}");
        // Room is kept for what a round brings, and an eighth more. On a busy machine a round has harvests that came late, too.
        int most = 1 + moves.GroupBy(m => m.Round).Max(g => g.Max(m => m.Harvest) - g.Min(m => m.Harvest) + 1);
        Assert.InRange(_host.FastPages, Budget - ((most + 2) * born), Budget + born);
        Assert.All(_host.NodeOf.Take(512), node => Assert.Equal(0, node));
    }

    // As on a host of two nodes: memory bound to both is bound to neither.
    private static bool LeavesChoice(IReadOnlyList<int> bound) => bound.Count > 1;

    [Fact]
    public void It_is_found_as_by_comparing_each_with_each()
    {
        Random random = new(3);
        for (int run = 0; run < 300; run++)
        {
            GuestLayout layout = GuestLayout.FromMemslots(Enumerable.Range(0, random.Next(1, 8)).Select(i => new Memslot(
                (ulong)i << 23, Address + ((ulong)random.Next(16) << 22), (ulong)random.Next(512, 1024))));
            ulong end = Address;
            MemoryBinding[] bindings = [.. Enumerable.Range(0, random.Next(6)).Select(_ => new MemoryBinding(
                end += (ulong)random.Next(2000) * 4096, end += (ulong)random.Next(1, 3000) * 4096, [random.Next(2)]))];
            byte[] tiers = new byte[layout.PageCount], expected = new byte[layout.PageCount];
            foreach (BackedRange range in layout.Backed)
            {
                for (int page = range.FirstIndex; page < range.EndIndex; page++)
                {
                    if (bindings.Any(bound => bound.Start <= range.HvaOf(page) && range.HvaOf(page) < bound.End))
                        expected[page] = Residency.Apart;
                }
            }
            Array.Fill(tiers, Residency.Fast);
            expected = [.. expected.Select(tier => tier == Residency.Apart ? tier : Residency.Fast)];
            (long fast, long slow) = BoundMemory.Find(bindings, layout, LeavesChoice).TakeOut(tiers);
            Assert.Equal(expected, tiers);
            Assert.Equal((expected.Count(tier => tier == Residency.Apart), 0), (fast, slow));
        }
    }

    [Fact]
    public void Eight_times_the_mappings_take_about_eight_times_as_long()
    {
        Find(2000); // compiled
        // On a busy machine any one run takes long; what each took at best says what is done. Compared with each, it is 64.
        double few = Enumerable.Range(0, 20).Min(_ => Find(3000));
        double many = double.MaxValue;
        for (int tries = 0; tries < 40 && !(many < 24 * few); tries++)
            (few, many) = (Math.Min(few, Find(3000)), Math.Min(many, Find(24_000)));
        Assert.True(many < 24 * few, $"3,000 mappings took {few:f2} ms, 24,000 took {many:f2}: each was compared with each");

        static double Find(int count)
        {
            GuestLayout layout = GuestLayout.FromMemslots(Enumerable.Range(0, count).Select(
                i => new Memslot((ulong)i << 22, Address + ((ulong)i << 22), 512)));
            MemoryBinding[] bindings = [.. Enumerable.Range(0, count).Select(
                i => new MemoryBinding(Address + ((ulong)i << 22), Address + ((ulong)i << 22) + 4096, [0]))];
            Stopwatch clock = Stopwatch.StartNew();
            Assert.NotNull(BoundMemory.Find(bindings, layout, LeavesChoice).Note);
            return clock.Elapsed.TotalMilliseconds;
        }
    }

    [Fact]
    public async Task Hot_pages_that_are_bound_to_the_slow_node_stay_there()
    {
        _host.Bound = [(3000, 600, [1])];
        Array.Fill(_host.NodeOf, 1, 3000, 600);
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => _host.FastPages <= Budget && loop.Status.Rounds > 5);

        Assert.All(_host.NodeOf.Skip(3000).Take(600), node => Assert.Equal(1, node));
    }

    [Fact]
    public async Task A_guest_that_is_bound_as_a_whole_is_left_where_it_is()
    {
        _host.Bound = [(0, FakeHost.GuestPages, [0])];
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => loop.Status.Rounds > 5);

        Assert.Equal(0, _host.MoveCalls);
        Assert.Equal(FakeHost.GuestPages * 4096L, loop.Status.FastBytes);
    }

    [Fact]
    public async Task Memory_that_is_bound_to_both_tiers_moves_between_them()
    {
        _host.Bound = [(0, FakeHost.GuestPages, [0, 1])];
        await using DomainLoop loop = Start();

        await Eventually.IsTrue(() => _host.FastPages <= Budget && loop.Status is { Rounds: > 5, Reason: null });
    }

    [Fact]
    public async Task The_kernel_is_asked_rarely_and_anew_when_the_layout_changes()
    {
        _host.HotPages = [.. Enumerable.Range(1100, 600)];
        await using DomainLoop loop = Start();
        await Eventually.IsTrue(() => loop.Status.Rounds > 20);
        Assert.InRange(_host.BindingReads, 1, 3); // time is skipped through here, some minutes of it
        int reads = _host.BindingReads;

        _host.Bound = [(0, 1024, [0])];
        (_host.SlotPages, _host.Generation) = (FakeHost.GuestPages / 2, 2);

        await Eventually.IsTrue(
            () => loop.Status.Reason?.Contains("is bound strictly to node 0", StringComparison.Ordinal) == true);
        Assert.InRange(_host.BindingReads, reads + 1, reads + 3);
    }

    [Theory]
    [InlineData("0:0", "restrictive memnode of cell 0, nodes 0")]
    [InlineData("0:0-1;3:0", "restrictive memnode of cell 3, nodes 0")]
    [InlineData("0:0-1", null)]
    [InlineData("0:junk", null)]
    [InlineData(":", "restrictive memnode of cell , nodes ")]
    public async Task A_restrictive_cell_of_which_the_kernel_is_told_nothing_keeps_the_domain_where_it_is(
        string cells, string? reason)
    {
        RunningDomain domain = Domains.Running() with { Numa = NumaHints.None with { RestrictiveCells = cells } };
        await using DomainLoop loop = new(_host.Context(), Domains.ThisProcess, domain.Orders(Budget));

        await Eventually.IsTrue(() => loop.Status.Rounds > 5 && (reason is not null || _host.FastPages <= Budget));

        if (reason is not null)
        {
            Assert.Contains(reason, loop.Status.Reason, StringComparison.Ordinal);
            Assert.EndsWith("virsh edit web1", loop.Status.Reason, StringComparison.Ordinal);
            Assert.Equal(0, _host.MoveCalls);
        }
    }

    private DomainLoop Start() => new(_host.Context(), Domains.ThisProcess, Domains.Running().Orders(Budget));
}
