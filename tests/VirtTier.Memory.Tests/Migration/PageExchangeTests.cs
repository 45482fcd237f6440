// SPDX-License-Identifier: Apache-2.0
using VirtTier.TestSupport;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Tests.Fakes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Migration;

public sealed class PageExchangeTests
{
    private const ulong Hva = 0x7f00_0000_0000;
    private const int Fast = 0;
    private const int Slow = 1;
    private const int Half = 10_240;
    private readonly ModelKernel _kernel = new() { TellsFree = true };
    private readonly GuestLayout _layout = GuestLayout.FromMemslots([new Memslot(0, Hva, 2 * Half)]);
    private readonly PageRun[] _cold = [.. Enumerable.Range(0, Half).Select(page => new PageRun(page, 1))];
    private readonly PageRun[] _hot = [.. Enumerable.Range(Half, Half).Select(page => new PageRun(page, 1))];

    /// <summary>Pages of the guest on the fast node, before each call.</summary>
    private readonly List<int> _onFast = [];

    public PageExchangeTests()
    {
        for (int page = 0; page < 2 * Half; page++)
            _kernel.Add(Hva + ((ulong)page * PageSizes.PageBytes), new ModelFolio { Node = page < Half ? Fast : Slow });
        int free = _kernel.FreePages[Fast];
        _kernel.OnMove = _ => _onFast.Add(Half + free - _kernel.FreePages[Fast]);
    }

    [Fact]
    public async Task Neither_node_overshoots_by_more_than_a_step()
    {
        _kernel.FreePages[Slow] = 5000;
        ExchangeReport report = await RunAsync(room: 100);
        Assert.Equal((Half, Half), (report.Demoted.Moved, report.Promoted.Moved));
        Assert.All(_onFast, pages => Assert.InRange(pages, Half - 4096, Half + 100));
    }

    [Fact]
    public async Task Nothing_is_promoted_while_the_fast_node_has_too_many()
    {
        ExchangeReport report = await RunAsync(room: -(Half / 2));
        Assert.Equal((Half, Half / 2), (report.Demoted.Moved, report.Promoted.Moved));
        Assert.Equal(Half / 2, report.Promoted.Counters[MoveOutcome.NotTried]);
        Assert.Equal(MoveOutcome.NotTried, report.Promoted.Outcomes.Span[^1]);
    }

    [Fact]
    public async Task Promotion_takes_no_more_than_demotion_gave()
    {
        _kernel.FreePages[Slow] = 1000;
        _kernel.TargetNodes.Remove(Fast);
        ExchangeReport report = await RunAsync(room: 500);
        Assert.Equal(0, report.Promoted.Moved);
        Assert.NotNull(report.Promoted.Problem);
        Assert.Equal(1000, report.Demoted.Moved);
        Assert.NotNull(report.Demoted.Problem);
    }

    [Fact]
    public async Task Blocks_are_not_split_between_steps()
    {
        PageRun[] blocks = [.. Enumerable.Range(0, 2 * Half / PageSizes.BlockPages).Select(
            block => new PageRun(block * PageSizes.BlockPages, PageSizes.BlockPages))];
        foreach (PageRun block in blocks)
        {
            _kernel.Add(
                Hva + ((ulong)block.First * PageSizes.PageBytes),
                new ModelFolio { Node = block.First < Half ? Fast : Slow, Pages = PageSizes.BlockPages, IsHugetlb = true });
        }

        ExchangeReport report = await RunAsync(room: 0, blocks[..(blocks.Length / 2)], blocks[(blocks.Length / 2)..]);
        Assert.Equal((Half, Half), (report.Demoted.Moved, report.Promoted.Moved));
        Assert.Equal(2 * Half / PageSizes.BlockPages, _kernel.MoveCalls.Sum(call => call.Length));
        Assert.All(_onFast, pages => Assert.InRange(pages, Half - 4096, Half));
    }

    [Fact]
    public async Task Demotion_goes_on_to_the_next_slow_node_and_promotion_with_it()
    {
        _kernel.FreePages = [_kernel.FreePages[Fast], 1000, 1 << 20];
        _kernel.TargetNodes.Add(2);
        _kernel.CallerNodes.Add(2);
        ExchangeReport report = await RunAsync(room: 0, _cold, _hot, slowNodes: [Slow, 2]);
        Assert.Equal((Half, Half), (report.Demoted.Moved, report.Promoted.Moved));
        Assert.Null(report.Demoted.Problem);
        Assert.Equal(0, report.Demoted.Counters[MoveOutcome.TargetFull]);
        Assert.Contains(_cold, page => _kernel.NodeOf(Hva + ((ulong)page.First * PageSizes.PageBytes)) == 2);
    }

    [Fact]
    public async Task Each_run_goes_its_own_way_and_a_way_that_is_full_holds_up_no_other()
    {
        _kernel.FreePages = [_kernel.FreePages[Fast], 1000, 1 << 20];
        _kernel.TargetNodes.Add(2);
        _kernel.CallerNodes.Add(2);
        ushort[] routeOf = [.. Enumerable.Range(0, Half).Select(page => (ushort)(page % 3))];
        var mover = new PageMover(_kernel, new PageMoverOptions(), new ManualTime());
        MoveReport report = await new PageExchange(mover).MoveAsync(
            mover.Target(1, _layout), new MoveOrder(_cold, [[Slow], [2], []], routeOf), TestContext.Current.CancellationToken);

        Assert.All(_cold, page => Assert.Equal(
            (page.First % 3) switch
            {
                1 => 2,
                2 => Fast,
                _ => report.Outcomes.Span[page.First] == MoveOutcome.Moved ? Slow : Fast,
            },
            _kernel.NodeOf(Hva + ((ulong)page.First * PageSizes.PageBytes))));
        Assert.Equal(1000 + _cold.Count(page => page.First % 3 == 1), report.Moved);
        Assert.Equal(Half, report.Moved + report.Counters[MoveOutcome.NotTried] + report.Counters[MoveOutcome.TargetFull]);
        Assert.Contains("NUMA node 1 has no free pages", report.Problem, StringComparison.Ordinal);
    }

    private Task<ExchangeReport> RunAsync(long room) => RunAsync(room, _cold, _hot);

    private async Task<ExchangeReport> RunAsync(long room, PageRun[] cold, PageRun[] hot, int[]? slowNodes = null)
    {
        var mover = new PageMover(_kernel, new PageMoverOptions(), new HurriedTime());
        return await new PageExchange(mover).RunAsync(
            mover.Target(1, _layout), new MoveOrder(cold, slowNodes ?? [Slow]), new MoveOrder(hot, Fast), room,
            TestContext.Current.CancellationToken);
    }
}
