// SPDX-License-Identifier: Apache-2.0
using VirtTier.Linux;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Tests.Fakes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Migration;

public sealed class PageMoverTests
{
    private const ulong Hva = 0x7f00_0000_0000;
    private const int Slow = 1;
    private readonly ModelKernel _kernel = new();
    private readonly HurriedTime _time = new();
    private readonly GuestLayout _layout = GuestLayout.FromMemslots([new Memslot(0, Hva, 64 * PageSizes.BlockPages)]);
    private MoveTarget? _target;

    [Fact]
    public async Task All_pages_of_an_easy_guest_move()
    {
        AddPages(0, 1000);
        MoveReport report = await MoveAsync(Range(0, 1000));
        Assert.Equal(1000, report.Moved);
        Assert.All(report.Outcomes.ToArray(), outcome => Assert.Equal(MoveOutcome.Moved, outcome));
        Assert.Equal(0, _kernel.QueriedPages);
    }

    [Fact]
    public async Task Pages_that_moved_in_a_chunk_that_failed_count_as_moved()
    {
        AddPages(0, 100);
        Folio(40).FailMigrations = -1;
        MoveReport report = await MoveAsync(Range(0, 100));
        Assert.Equal(99, report.Moved);
        Assert.Equal(MoveOutcome.Pinned, report.Outcomes.Span[40]);
        Assert.Equal(0, _kernel.NodeOf(Address(40)));
    }

    [Fact]
    public async Task Pages_after_a_failed_chunk_are_tried_and_use_up_no_retry()
    {
        // An absent page ends the chunk with the pinned one: the kernel never gets to the pages behind.
        AddPages(0, 10);
        AddPages(11, 90);
        for (int page = 0; page < 10; page++)
            Folio(page).FailMigrations = -1;
        MoveReport report = await MoveAsync(Range(0, 101));
        Assert.Equal(90, report.Moved);
        Assert.Equal(10, report.Counters[MoveOutcome.Pinned]);
        Assert.Equal(1, report.Counters[MoveOutcome.Absent]);
        Assert.Equal(30, report.Counters.Retried);
    }

    [Theory]
    [InlineData(Errno.ENOENT)]
    [InlineData(Errno.EFAULT)]
    public async Task Absent_pages_are_dropped_without_retry(int errno)
    {
        AddPages(0, 4);
        for (int page = 4; page < 8; page++)
            _kernel.AddAbsent(Address(page), errno);
        MoveReport report = await MoveAsync(Range(0, 8));
        Assert.Equal(4, report.Moved);
        Assert.Equal(4, report.Counters[MoveOutcome.Absent]);
        Assert.Single(_kernel.MoveCalls);
    }

    [Fact]
    public async Task Busy_pages_are_tried_again_after_growing_pauses()
    {
        AddPages(0, 20);
        Folio(3).FailMigrations = 2;
        Folio(7).FailIsolations = 1;
        MoveReport report = await MoveAsync(Range(0, 20));
        Assert.Equal(20, report.Moved);
        TimeSpan first = new PageMoverOptions().RetryDelay;
        Assert.Equal([first, 2 * first], _time.Waits);
        Assert.Equal(3, report.Counters.Retried);
    }

    [Fact]
    public async Task Pinned_pages_are_set_aside_and_tried_again_after_their_time()
    {
        AddPages(0, 4);
        Folio(2).FailMigrations = -1;
        MoveReport first = await MoveAsync(Range(0, 4));
        Assert.Equal(MoveOutcome.Pinned, first.Outcomes.Span[2]);
        int calls = _kernel.MoveCalls.Count;
        Assert.Equal(4, calls);

        MoveReport again = await MoveAsync(Pages(2));
        Assert.Equal(MoveOutcome.Pinned, again.Outcomes.Span[0]);
        Assert.Equal(calls, _kernel.MoveCalls.Count);

        Folio(2).FailMigrations = 0;
        _time.Advance(2 * new PageMoverOptions().AsideFor);
        Assert.Equal(1, (await MoveAsync(Pages(2))).Moved);
    }

    [Fact]
    public async Task Pages_of_one_large_page_addressed_one_by_one_all_count_as_moved()
    {
        _kernel.Add(Address(0), new ModelFolio { Pages = PageSizes.BlockPages });
        MoveReport report = await MoveAsync(Range(0, PageSizes.BlockPages));
        Assert.Equal(PageSizes.BlockPages, report.Moved);
        Assert.Empty(_time.Waits);
    }

    [Fact]
    public async Task A_block_is_moved_by_its_first_address()
    {
        for (int block = 0; block < 3; block++)
            _kernel.Add(Address(block * PageSizes.BlockPages), new ModelFolio { Pages = PageSizes.BlockPages, IsHugetlb = true });
        AddPages(3 * PageSizes.BlockPages, 2);
        PageRun[] runs = [new(0, 512), new(512, 512), new(1024, 512), new(1536, 1), new(1537, 1)];
        MoveReport report = await MoveAsync(runs);
        Assert.All(report.Outcomes.ToArray(), outcome => Assert.Equal(MoveOutcome.Moved, outcome));
        Assert.Equal((3 * PageSizes.BlockPages) + 2, report.Moved);
        Assert.Equal([Address(0), Address(512), Address(1024)], _kernel.MoveCalls[0]);
        Assert.Equal([Address(1536), Address(1537)], _kernel.MoveCalls[1]);
    }

    [Theory]
    [InlineData(0, 2)]
    [InlineData(0, 0)]
    [InlineData(1, 512)]
    public async Task A_run_that_is_neither_a_page_nor_a_block_is_refused(int first, int count)
    {
        ArgumentException e = await Assert.ThrowsAsync<ArgumentException>(() => MoveAsync([new PageRun(first, count)]));
        Assert.Contains("neither one page nor one block", e.Message, StringComparison.Ordinal);
        Assert.Empty(_kernel.MoveCalls);
    }

    [Fact]
    public async Task Shared_pages_move_with_the_right_to_move_them()
    {
        AddPages(0, 10);
        for (int page = 5; page < 10; page++)
            Folio(page).IsShared = true;
        MoveReport report = await MoveAsync(Range(0, 10));
        Assert.Equal(10, report.Moved);
        Assert.Equal([MoveScope.Own, MoveScope.Shared], _kernel.Scopes);
        AddPages(20, 1);
        await MoveAsync(Pages(20));
        Assert.Equal(MoveScope.Shared, _kernel.Scopes[^1]);
    }

    [Fact]
    public async Task Shared_pages_are_told_apart_without_the_right_to_move_them()
    {
        _kernel.HasSysNice = false;
        AddPages(0, 10);
        Folio(4).IsShared = true;
        MoveReport report = await MoveAsync(Range(0, 10));
        Assert.Equal(9, report.Moved);
        Assert.Equal(MoveOutcome.Shared, report.Outcomes.Span[4]);
        Assert.Equal(0, _kernel.NodeOf(Address(4)));
    }

    [Fact]
    public async Task A_node_that_fills_up_half_way_ends_the_work_and_what_moved_is_known()
    {
        // The busy page makes the moved ones no mere beginning of the list.
        AddPages(0, 200);
        Folio(5).FailMigrations = 1;
        _kernel.FreePages[Slow] = 77;
        MoveReport report = await MoveAsync(Range(0, 200));
        Assert.Equal(77, report.Moved);
        Assert.Equal(123, report.Counters[MoveOutcome.TargetFull]);
        Assert.Contains("node 1 has no free pages", report.Problem, StringComparison.Ordinal);
        for (int page = 0; page < 200; page++)
            Assert.Equal(report.Outcomes.Span[page] == MoveOutcome.Moved ? Slow : 0, _kernel.NodeOf(Address(page)));
    }

    [Fact]
    public async Task A_node_known_to_be_full_is_filled_up_without_a_failing_call()
    {
        AddPages(0, 2000);
        _kernel.TellsFree = true;
        _kernel.FreePages[Slow] = 777;
        MoveReport report = await MoveAsync(Range(0, 2000));
        Assert.Equal(777, report.Moved);
        Assert.Equal(1223, report.Counters[MoveOutcome.TargetFull]);
        Assert.Equal(777, _kernel.MoveCalls.Sum(call => call.Length));
    }

    [Fact]
    public async Task A_full_node_is_left_alone_for_a_while()
    {
        AddPages(0, 10);
        _kernel.FreePages[Slow] = 0;
        var mover = NewMover();
        MoveTarget target = mover.Target(1, _layout);
        for (int i = 0; i < 5; i++)
            Assert.Equal(10, (await mover.MoveAsync(target, Range(0, 10), Slow, Token)).Counters[MoveOutcome.TargetFull]);
        Assert.Equal(2, _kernel.MoveCalls.Count);

        _kernel.FreePages[Slow] = 100;
        _time.Advance(new PageMoverOptions().FullFor);
        Assert.Equal(10, (await mover.MoveAsync(target, Range(0, 10), Slow, Token)).Moved);
    }

    [Fact]
    public async Task Earlier_moves_to_a_node_do_not_hide_that_it_is_full_now()
    {
        AddPages(0, 2000);
        await MoveAsync(Range(0, 1990));
        _kernel.FreePages[Slow] = 0;
        int calls = _kernel.MoveCalls.Count;
        for (int i = 0; i < 4; i++)
            await MoveAsync(Range(1990, 10));
        Assert.Equal(calls + 1, _kernel.MoveCalls.Count);
    }

    [Fact]
    public async Task A_full_node_does_not_close_the_way_to_another()
    {
        AddPages(0, 10);
        _kernel.FreePages[Slow] = 0;
        var mover = NewMover();
        MoveTarget target = mover.Target(1, _layout);
        for (int i = 0; i < 3; i++)
            await mover.MoveAsync(target, Range(0, 10), Slow, Token);
        Folio(0).Node = Slow;
        Assert.Equal(1, (await mover.MoveAsync(target, Range(0, 1), 0, Token)).Moved);
    }

    [Fact]
    public async Task A_cpuset_that_forbids_the_node_is_named_with_the_command_that_mends_it()
    {
        AddPages(0, 3);
        _kernel.TargetNodes.Remove(Slow);
        MoveReport report = await MoveAsync(Range(0, 3));
        Assert.Equal(3, report.Counters[MoveOutcome.ForbiddenByCpuset]);
        Assert.Equal(
            "process 4242: the cpuset allows memory on node 0 only, not on node 1 (mend it with: echo 0-1 > cpuset.mems)",
            report.Problem);
    }

    [Fact]
    public async Task Enomem_from_the_agents_own_cpuset_is_not_a_full_node()
    {
        AddPages(0, 3);
        _kernel.CallerNodes.Remove(Slow);
        MoveReport report = await MoveAsync(Range(0, 3));
        Assert.Equal(3, report.Counters[MoveOutcome.ForbiddenByCpuset]);
        Assert.StartsWith("the agent itself: ", report.Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(Errno.ESRCH)]
    [InlineData(Errno.EINVAL)]
    public async Task A_guest_that_ends_half_way_is_an_outcome(int errno)
    {
        _kernel.ErrorOfDead = errno;
        AddPages(0, 1000);
        _kernel.OnMove = _ => _kernel.IsAlive = _kernel.MoveCalls.Count < 3;
        MoveReport report = await MoveAsync(Range(0, 1000));
        Assert.True(report.Moved > 0, "the first two calls moved pages");
        Assert.Equal(1000, report.Moved + report.Counters[MoveOutcome.ProcessGone]);
        Assert.Equal(3, _kernel.MoveCalls.Count);
    }

    [Fact]
    public async Task A_missing_right_is_an_outcome_with_its_name()
    {
        AddPages(0, 3);
        _kernel.MayTrace = false;
        MoveReport report = await MoveAsync(Range(0, 3));
        Assert.Equal(3, report.Counters[MoveOutcome.Refused]);
        Assert.Contains("CAP_SYS_NICE", report.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_node_is_an_outcome_with_its_number()
    {
        AddPages(0, 3);
        MoveReport report = await NewMover().MoveAsync(NewMover().Target(1, _layout), Range(0, 3), 9, Token);
        Assert.Equal(3, report.Counters[MoveOutcome.Refused]);
        Assert.Contains("NUMA node 9", report.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Pages_without_memory_behind_them_never_reach_the_kernel()
    {
        MoveReport report = await MoveAsync(Pages(_layout.PageCount));
        Assert.Equal(MoveOutcome.Absent, report.Outcomes.Span[0]);
        Assert.Empty(_kernel.MoveCalls);
    }

    [Fact]
    public async Task Pages_of_several_memslots_are_asked_for_where_each_lies()
    {
        const ulong first = 0x1000_0000;
        const ulong second = 0x9000_0000;
        GuestLayout layout = GuestLayout.FromMemslots(
        [
            new Memslot(0, first, PageSizes.BlockPages),
            new Memslot(PageSizes.BlockPages * PageSizes.PageBytes, second, PageSizes.BlockPages),
        ]);
        ulong[] addresses = [first, second, first + PageSizes.PageBytes, second + PageSizes.PageBytes];
        foreach (ulong address in addresses)
            _kernel.Add(address, new ModelFolio());
        PageMover mover = NewMover();
        PageRun[] pages = Pages(0, PageSizes.BlockPages, 1, PageSizes.BlockPages + 1);
        MoveReport report = await mover.MoveAsync(mover.Target(1, layout), pages, Slow, CancellationToken.None);
        Assert.Equal(4, report.Moved);
        Assert.Equal(addresses, Assert.Single(_kernel.MoveCalls));
    }

    [Fact]
    public async Task Cancelled_work_reports_what_was_done()
    {
        AddPages(0, 2000);
        using var cancel = new CancellationTokenSource();
        _kernel.OnMove = _ =>
        {
            if (_kernel.MoveCalls.Count == 2)
                cancel.Cancel();
        };
        MoveReport report = await NewMover().MoveAsync(NewMover().Target(1, _layout), Range(0, 2000), Slow, cancel.Token);
        Assert.Equal(2, _kernel.MoveCalls.Count);
        Assert.Equal(_kernel.MoveCalls.Sum(call => call.Length), report.Moved);
        Assert.Equal(2000, report.Moved + report.Counters[MoveOutcome.NotTried]);
    }

    [Fact]
    public async Task Busy_pages_of_cancelled_work_are_not_pinned()
    {
        AddPages(0, 4);
        Folio(1).FailMigrations = -1;
        using var cancel = new CancellationTokenSource();
        _time.OnWait = cancel.Cancel;
        MoveReport report = await NewMover().MoveAsync(NewMover().Target(1, _layout), Range(0, 4), Slow, cancel.Token);
        Assert.Equal(3, report.Moved);
        Assert.Equal(MoveOutcome.Busy, report.Outcomes.Span[1]);
    }

    [Fact]
    public async Task Calls_are_fitted_to_the_time_limit()
    {
        AddPages(0, 20_000);
        _kernel.OnMove = addresses => _time.Advance(TimeSpan.FromMicroseconds(10 * addresses));
        MoveReport report = await MoveAsync(Range(0, 20_000));
        Assert.Equal(20_000, report.Moved);
        Assert.InRange(report.Counters.LongestCall, TimeSpan.FromMilliseconds(19), TimeSpan.FromMilliseconds(20));
        Assert.InRange(report.Counters.Calls, 10, 16);
    }

    [Fact]
    public async Task The_lower_of_both_rates_is_kept()
    {
        const long rate = 1000 * PageSizes.PageBytes;
        AddPages(0, 20_000);
        var mover = NewMover(new PageMoverOptions { BytesPerSecond = 10 * rate });
        MoveTarget target = mover.Target(1, _layout);
        target.Rate.PerSecond = rate;
        await mover.MoveAsync(target, Range(0, 20_000), Slow, Token);
        Assert.InRange(_time.Now.TotalSeconds, 19.5, 20.1);
        target.Rate.PerSecond = 0;
        TimeSpan before = _time.Now;
        foreach (ModelFolio folio in _pages.Values)
            folio.Node = 0;
        await mover.MoveAsync(target, Range(0, 20_000), Slow, Token);
        Assert.InRange((_time.Now - before).TotalSeconds, 1.5, 2.1);
    }

    [Theory]
    [InlineData(2, 8)]
    [InlineData(200, 800)]
    public async Task Interruptions_take_their_share_of_a_guests_time_on_fast_and_slow_machines(int microsecondsEach, int seconds)
    {
        AddPages(0, 20_000);
        _kernel.OnMove = addresses => Work(addresses);
        PageMover mover = NewMover();
        MoveTarget target = mover.Target(1, _layout);
        target.Work.PerSecond = (long)(0.005 * 1e9);

        await mover.MoveAsync(target, Range(0, 20_000), Slow, Token);

        Assert.Equal(20_000, target.Counters[MoveOutcome.Moved]);
        Assert.Equal(TimeSpan.FromMicroseconds(20_000 * microsecondsEach), target.Counters.CpuTime);
        Assert.InRange(_time.Now.TotalSeconds, seconds * 0.45, seconds * 1.05);

        void Work(int addresses)
        {
            TimeSpan time = TimeSpan.FromMicroseconds((double)addresses * microsecondsEach);
            _kernel.CpuTime += time;
            _time.Advance(time);
        }
    }

    [Fact]
    public async Task A_call_that_is_not_made_costs_nothing()
    {
        AddPages(0, 4);
        _kernel.OnMove = _ => _kernel.CpuTime += TimeSpan.FromSeconds(1);
        PageMover mover = NewMover();
        MoveTarget target = mover.Target(1, _layout);
        target.Work.PerSecond = 1_000_000_000;
        await mover.MoveAsync(target, Range(0, 2), Slow, Token);
        _kernel.TellsFree = true;
        _kernel.FreePages[Slow] = 0;

        await mover.MoveAsync(target, Range(2, 2), Slow, Token);
        await mover.MoveAsync(target, Range(2, 2), Slow, Token);

        Assert.Equal(TimeSpan.FromSeconds(1), target.Counters.CpuTime);
        Assert.InRange(_time.Now.TotalSeconds, 0.5, 1.1);
    }

    [Fact]
    public async Task Time_and_pages_of_blocks_are_counted_apart()
    {
        AddPages(0, 100);
        ModelFolio block = new() { Pages = 512 };
        _kernel.Add(_layout.HvaOf(512), block);
        _kernel.OnMove = addresses => _kernel.CpuTime += TimeSpan.FromMicroseconds(addresses == 1 ? 300 : addresses);

        PageRun[] runs = [.. Range(0, 100), new(512, 512)];
        MoveReport report = await NewMover().MoveAsync(NewMover().Target(1, _layout), runs, Slow, Token);

        Assert.Equal((612, 512), (report.Moved, report.Counters.MovedInBlocks));
        Assert.Equal(TimeSpan.FromMicroseconds(300), report.Counters.BlockCpuTime);
        Assert.Equal(TimeSpan.FromMicroseconds(400), report.Counters.CpuTime);
    }

    [Fact]
    public async Task Counters_of_the_guest_are_the_sum_of_its_reports()
    {
        AddPages(0, 10);
        await MoveAsync(Range(0, 6));
        await MoveAsync(Range(6, 6));
        Assert.Equal(10, _target!.Counters[MoveOutcome.Moved]);
        Assert.Equal(2, _target.Counters[MoveOutcome.Absent]);
        Assert.Equal(2, _target.Counters.Calls);
    }

    [Fact]
    public async Task Pages_between_those_that_were_moved_are_not_taken_for_moved()
    {
        AddPages(0, 100);
        await MoveAsync(Pages(10, 20));
        Assert.Equal(0, Observe());

        Folio(40).FailMigrations = -1;
        await MoveAsync(Pages(40));
        MoveReport report = await MoveAsync(Pages(50, 40, 51));
        Assert.Equal([MoveOutcome.Moved, MoveOutcome.Pinned, MoveOutcome.Moved], report.Outcomes.ToArray());
    }

    [Fact]
    public async Task Pages_moved_away_by_others_are_noticed_and_not_fought_over_for_ever()
    {
        AddPages(0, 100);
        await MoveAsync(Range(0, 100));
        Assert.Equal(0, Observe());
        Folio(10).Node = 0;
        Folio(99).Node = 0;
        Assert.Equal(2, Observe());
        Assert.Equal(0, Observe());

        await MoveAsync(Pages(10));
        Folio(10).Node = 0;
        Assert.Equal(1, Observe());
        Assert.Equal(3, _target!.Counters.Drifted);
        MoveReport report = await MoveAsync(Pages(10, 99));
        Assert.Equal([MoveOutcome.Contested, MoveOutcome.Moved], report.Outcomes.ToArray());

        _time.Advance(2 * new PageMoverOptions().AsideFor);
        Assert.Equal(1, (await MoveAsync(Pages(10))).Moved);
    }

    [Fact]
    public async Task Pages_that_are_gone_or_that_the_mover_moved_on_have_not_drifted()
    {
        AddPages(0, 4);
        await MoveAsync(Range(0, 4));
        await _mover!.MoveAsync(_target!, Range(0, 1), 0, Token);
        byte[] nodes = [0, Slow, Residency.Absent, Slow];
        Assert.Equal(0, _target!.Observe(0, nodes));
        Assert.Equal(0, _target.Observe(1, nodes.AsSpan(1, 2)));
    }

    [Fact]
    public async Task A_new_layout_forgets_what_was_known_of_single_pages()
    {
        AddPages(0, 4);
        Folio(1).FailMigrations = -1;
        await MoveAsync(Range(0, 4));
        Folio(1).FailMigrations = 0;
        Folio(2).Node = 0;
        _target!.Relayout(_layout);
        Assert.Equal(0, Observe());
        Assert.Equal(1, (await MoveAsync(Pages(1))).Moved);
    }

    private long Observe()
    {
        var nodes = new byte[_layout.PageCount];
        Array.Fill(nodes, Residency.Absent);
        foreach ((int index, ModelFolio folio) in _pages)
            nodes[index] = (byte)folio.Node;
        return _target!.Observe(0, nodes);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_has_no_room_on_a_node_goes_to_the_next_and_only_the_rest_is_refused(bool tellsFree)
    {
        ThreeSlowNodes(1000, 500, 300);
        _kernel.TellsFree = tellsFree;
        AddPages(0, 2000);
        var mover = NewMover();
        MoveTarget target = mover.Target(1, _layout);

        MoveReport report = await mover.MoveAsync(target, Range(0, 2000), [1, 2, 3], Token);

        Assert.Equal((1800, 200), (report.Moved, report.Counters[MoveOutcome.TargetFull]));
        Assert.Equal([200, 1000, 500, 300],
            Enumerable.Range(0, 4).Select(node => Range(0, 2000).Count(page => Folio(page.First).Node == node)));
        Assert.All(Range(0, 2000),
            page => Assert.Equal(Folio(page.First).Node == 0 ? MoveOutcome.TargetFull : MoveOutcome.Moved,
                report.Outcomes.Span[page.First]));
        Assert.StartsWith("NUMA node 1-3 has no free pages", report.Problem, StringComparison.Ordinal);
        Assert.Equal(200, target.Counters[MoveOutcome.TargetFull]);
    }

    [Fact]
    public async Task While_another_node_has_room_no_node_is_said_to_be_full()
    {
        ThreeSlowNodes(0, 0, 5000);
        AddPages(0, 2000);
        var mover = NewMover();
        MoveTarget target = mover.Target(1, _layout);
        for (int i = 0; i < 20; i++)
        {
            MoveReport report = await mover.MoveAsync(target, Range(i * 100, 100), [1, 2, 3], Token);
            Assert.Equal((100, null), (report.Moved, report.Problem));
        }
        Assert.Equal(0, target.Counters[MoveOutcome.TargetFull]);
        Assert.All(Range(0, 2000), page => Assert.Equal(3, Folio(page.First).Node));
        Assert.InRange(_kernel.MoveCalls.Count, 20, 26); // those that are full are left alone for a while
    }

    [Fact]
    public async Task The_nearest_node_is_taken_again_once_it_has_room()
    {
        ThreeSlowNodes(0, 5000, 0);
        AddPages(0, 300);
        var mover = NewMover();
        MoveTarget target = mover.Target(1, _layout);
        for (int i = 0; i < 2; i++)
            await mover.MoveAsync(target, Range(i * 100, 100), [1, 2], Token);
        _kernel.FreePages[1] = 5000;
        _time.Advance(new PageMoverOptions().FullFor);
        await mover.MoveAsync(target, Range(200, 100), [1, 2], Token);
        Assert.Equal([200, 100],
            [Range(0, 300).Count(page => Folio(page.First).Node == 2), Range(0, 300).Count(page => Folio(page.First).Node == 1)]);
    }

    [Fact]
    public async Task A_node_that_has_gone_is_passed_over()
    {
        ThreeSlowNodes(1000, 1000, 1000);
        AddPages(0, 10);
        MoveReport report = await NewMover().MoveAsync(NewMover().Target(1, _layout), Range(0, 10), [9, 2], Token);
        Assert.Equal((10, null), (report.Moved, report.Problem));
        Assert.Equal(2, Folio(0).Node);
    }

    [Fact]
    public async Task Busy_pages_are_tried_again_where_there_is_room()
    {
        ThreeSlowNodes(5, 1000, 0);
        AddPages(0, 10);
        Folio(3).FailMigrations = 2;
        MoveReport report = await NewMover().MoveAsync(NewMover().Target(1, _layout), Range(0, 10), [1, 2], Token);
        Assert.Equal((10, null), (report.Moved, report.Problem));
        Assert.All(Range(0, 10), page => Assert.InRange(Folio(page.First).Node, 1, 2));
    }

    private void ThreeSlowNodes(params int[] free)
    {
        _kernel.FreePages = [1 << 30, .. free];
        for (int node = 0; node <= free.Length; node++)
        {
            _kernel.TargetNodes.Add(node);
            _kernel.CallerNodes.Add(node);
        }
    }

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    private static ulong Address(int index) => Hva + ((ulong)index * PageSizes.PageBytes);

    private static PageRun[] Range(int first, int count) => Pages([.. Enumerable.Range(first, count)]);

    private static PageRun[] Pages(params int[] pages) => [.. pages.Select(page => new PageRun(page, 1))];

    private readonly Dictionary<int, ModelFolio> _pages = [];

    private ModelFolio Folio(int index) => _pages[index];

    private void AddPages(int first, int count)
    {
        for (int index = first; index < first + count; index++)
            _pages[index] = _kernel.Add(Address(index), new ModelFolio());
    }

    private PageMover NewMover(PageMoverOptions? options = null) => new(_kernel, options ?? new PageMoverOptions(), _time);

    private PageMover? _mover;

    private async Task<MoveReport> MoveAsync(PageRun[] runs)
    {
        _mover ??= NewMover();
        _target ??= _mover.Target(4242, _layout);
        return await _mover.MoveAsync(_target, runs, Slow, Token);
    }
}
