// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Linux;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Tests.Splitting;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Emulated;

/// <summary>
/// Every rule of move_pages(2) that <see cref="PageMover"/> relies on, and what the mover makes of it, on a kernel with two
/// nodes. <see cref="RealNodesInHostTests"/> runs these inside the emulated host; anywhere else they are not run.
/// </summary>
public sealed class RealNodesTests
{
    private const int Fast = 0;
    private const int Slow = 1;
    private const int Unwritten = int.MinValue;
    private readonly LinuxNumaCalls _calls = new();

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact(Explicit = true)]
    public void The_host_has_a_fast_node_and_a_slow_one_without_processors()
    {
        NumaTopology topology = NumaTopology.Read();
        Assert.Equal([Fast], topology.Tiers.Fast.Nodes);
        Assert.Equal(Slow, topology.Tiers.SlowerNodeNear(Fast));
    }

    // The figures that testbed/lib/host.sh has the firmware say.
    [Fact(Explicit = true)]
    public void What_the_firmware_says_of_the_nodes_is_known()
    {
        NumaTopology topology = NumaTopology.Read();
        NodePerformance fast = topology.ReadPerformance(Fast)!;
        NodePerformance slow = topology.ReadPerformance(Slow)!;
        Assert.Equal(new NodePerformance(100, 100, 20 * 1024, 20 * 1024), fast);
        Assert.Equal(new NodePerformance(300, 300, 10 * 1024, 8 * 1024), slow);
        Assert.Equal(1, NodePerformance.WriteWeight(fast, slow));
    }

    [Theory(Explicit = true)]
    [InlineData("memfd")]
    [InlineData("thp")]
    public void Nothing_is_lost_in_ten_thousand_splits_and_joins_with_moves_between(string kind)
    {
        const int blocks = 8;
        EnableThp();
        using TargetProcess target = TargetProcess.Start(kind, 4 * blocks);
        target.Tell("join");
        RealHugePagesTests.SplitMoveAndJoin(target, blocks, times: 10_000);
    }

    [Theory(Explicit = true)]
    [InlineData("anon")]
    [InlineData("memfd")]
    [InlineData("thp")]
    public async Task Pages_of_each_kind_move_there_and_back_whole(string kind)
    {
        EnableThp();
        using var target = TargetProcess.Start(kind, 32);
        foreach (int node in new[] { Slow, Fast, Slow })
        {
            MoveReport report = await MoveAsync(target, Enumerable.Range(0, target.Pages), node);
            Assert.Equal(target.Touched, report.Moved);
            Assert.Equal(target.Touched, report.Counters[MoveOutcome.Absent]);
            Assert.Equal(target.Touched, CountOn(target, node));
            Assert.Equal("ok", target.Tell("check"));
        }
    }

    [Fact(Explicit = true)]
    public void Rule_a_page_that_fails_leaves_the_statuses_of_its_chunk_unwritten_and_those_behind_untried()
    {
        using var target = TargetProcess.Start("anon", 8);
        target.Tell("pin 10");
        target.Tell("unmap 50 1");
        (int result, int[] status) = RawMove(target.Addresses(0, 100), target, MoveScope.Own);
        Assert.Equal(50, result);
        Assert.All(status[..50], s => Assert.Equal(Unwritten, s));
        Assert.Contains(status[50], new[] { -Errno.ENOENT, -Errno.EFAULT });
        Assert.All(status[51..], s => Assert.Equal(Unwritten, s));
        Assert.Equal(49, CountOn(target, Slow));
    }

    [Fact(Explicit = true)]
    public async Task A_page_that_will_not_move_is_pinned_and_all_others_move()
    {
        using var target = TargetProcess.Start("anon", 16);
        target.Tell("pin 7");
        target.Tell("pin 1500");
        PageMover mover = NewMover(new PageMoverOptions { AsideFor = TimeSpan.FromSeconds(2) });
        MoveTarget memory = mover.Target(target.Pid, target.Layout);
        PageRun[] pages = Pages(Enumerable.Range(0, target.Touched));
        MoveReport report = await mover.MoveAsync(memory, pages, Slow, Token);
        Assert.Equal(target.Touched - 2, report.Moved);
        Assert.Equal((MoveOutcome.Pinned, MoveOutcome.Pinned), (report.Outcomes.Span[7], report.Outcomes.Span[1500]));
        Assert.Equal(target.Touched - 2, CountOn(target, Slow));

        target.Tell("unpin");
        await Task.Delay(TimeSpan.FromSeconds(5), Token);
        report = await mover.MoveAsync(memory, pages, Slow, Token);
        Assert.Equal(target.Touched, report.Moved);
        Assert.Equal("ok", target.Tell("check"));
    }

    [Fact(Explicit = true)]
    public async Task A_page_that_is_busy_for_a_while_moves_by_retry()
    {
        using var target = TargetProcess.Start("anon", 8);
        target.Tell("pin 3");
        PageMover mover = NewMover(new PageMoverOptions { Retries = 8, RetryDelay = TimeSpan.FromMilliseconds(100) });
        Task<MoveReport> moving = mover.MoveAsync(
            mover.Target(target.Pid, target.Layout), Pages(Enumerable.Range(0, 100)), Slow, Token);
        await Task.Delay(300, Token);
        target.Tell("unpin");
        MoveReport report = await moving;
        Assert.Equal(100, report.Moved);
        Assert.True(report.Counters.Retried > 0, "the page was busy at first");
    }

    [Theory(Explicit = true)]
    [InlineData("anon", Errno.EFAULT)]
    [InlineData("memfd", Errno.ENOENT)]
    public async Task Pages_never_touched_are_absent(string kind, int errno)
    {
        using var target = TargetProcess.Start(kind, 8);
        (int result, int[] status) = RawMove(target.Addresses(target.Touched, 10), target, MoveScope.Own);
        Assert.Equal(0, result);
        Assert.All(status, s => Assert.Contains(-s, new[] { errno, Errno.ENOENT }));
        Assert.Equal(10, (await MoveAsync(target, Enumerable.Range(target.Touched, 10))).Counters[MoveOutcome.Absent]);
    }

    [Fact(Explicit = true)]
    public async Task The_zero_page_is_absent_for_residency_and_for_the_mover()
    {
        using var target = TargetProcess.Start("zero", 8);
        Assert.All(NodesOf(target), node => Assert.Equal(Residency.Absent, node));
        Assert.Equal(target.Touched, (await MoveAsync(target, Enumerable.Range(0, target.Touched))).Counters[MoveOutcome.Absent]);
    }

    [Fact(Explicit = true)]
    public void Rule_the_second_address_of_a_large_page_is_reported_busy_although_it_moves()
    {
        EnableThp();
        using var target = TargetProcess.Start("thp", 8);
        (int result, int[] status) = RawMove(target.Addresses(0, 512), target, MoveScope.Own);
        Assert.Equal(0, result);
        Assert.Equal(-Errno.EBUSY, status[1]);
        Assert.Single(status, s => s == -Errno.EBUSY);
        Assert.Equal(512, CountOn(target, Slow));
    }

    [Fact(Explicit = true)]
    public async Task A_block_moves_whole_by_one_address()
    {
        EnableThp();
        using var target = TargetProcess.Start("thp", 32);
        PageMover mover = NewMover();
        MoveReport report = await mover.MoveAsync(mover.Target(target.Pid, target.Layout), Blocks(target.Touched), Slow, Token);
        Assert.Equal(target.Touched, report.Moved);
        Assert.Equal(target.Touched, CountOn(target, Slow));
        Assert.Equal("ok", target.Tell("check"));
    }

    [Fact(Explicit = true)]
    public async Task Hugetlb_pages_move_by_their_first_address_only()
    {
        // The slow node's pool is empty: the kernel makes a page for the move.
        using HugePages pool = new(Fast, 8);
        using var target = TargetProcess.Start("hugetlb", 16);
        (_, int[] status) = RawMove(target.Addresses(1, 1), target, MoveScope.Shared);
        Assert.Equal([-Errno.EACCES], status);

        PageMover mover = NewMover();
        MoveReport report = await mover.MoveAsync(mover.Target(target.Pid, target.Layout), Blocks(target.Touched), Slow, Token);
        Assert.Equal(target.Touched, report.Moved);
        Assert.Equal(target.Touched, CountOn(target, Slow));
        Assert.Equal("ok", target.Tell("check"));
    }

    [Fact(Explicit = true)]
    public async Task Pages_with_a_second_mapper_move_with_the_right_to()
    {
        using var target = TargetProcess.Start("memfd", 8);
        target.Tell("share");
        (_, int[] status) = RawMove(target.Addresses(0, 4), target, MoveScope.Own);
        Assert.All(status, s => Assert.Equal(-Errno.EACCES, s));
        Assert.Equal(target.Touched, (await MoveAsync(target, Enumerable.Range(0, target.Touched))).Moved);
        Assert.Equal(target.Touched, CountOn(target, Slow));
        Assert.Equal("ok", target.Tell("check"));
    }

    // These two use 2 MiB pages of hugetlb, because a call that exhausts a node with small pages may wait in the kernel's
    // reclaim for minutes.
    [Fact(Explicit = true)]
    public void Rule_a_node_that_fills_up_gives_enomem_with_no_status_although_pages_moved()
    {
        using HugePages pool = new(Fast, 64);
        using var target = TargetProcess.Start("hugetlb", 128);
        using TargetProcess filler = FillSlowNode(40);
        ulong[] heads = [.. target.Addresses(0, target.Touched).Where((_, page) => page % PageSizes.BlockPages == 0)];
        (int result, int[] status) = RawMove(heads, target, MoveScope.Own);
        Assert.Equal(-Errno.ENOMEM, result);
        Assert.All(status, s => Assert.Equal(Unwritten, s));
        Assert.InRange(CountOn(target, Slow), PageSizes.BlockPages, target.Touched - PageSizes.BlockPages);
    }

    [Fact(Explicit = true)]
    public async Task A_node_that_fills_up_half_way_is_known_page_by_page()
    {
        using HugePages pool = new(Fast, 64);
        using var target = TargetProcess.Start("hugetlb", 128);
        PageMover mover = NewMover();
        MoveReport report;
        using (FillSlowNode(40))
        {
            report = await mover.MoveAsync(
                mover.Target(target.Pid, target.Layout), Blocks(target.Touched), Slow, Token);
        }

        Assert.InRange(report.Moved, PageSizes.BlockPages, target.Touched - PageSizes.BlockPages);
        Assert.Equal(target.Touched, report.Moved + report.Counters[MoveOutcome.TargetFull]);
        byte[] nodes = NodesOf(target);
        for (int page = 0; page < target.Touched; page++)
            Assert.Equal(report.Outcomes.Span[page / PageSizes.BlockPages] == MoveOutcome.Moved ? Slow : Fast, nodes[page]);
        Assert.Equal("ok", target.Tell("check"));
    }

    [Fact(Explicit = true)]
    public async Task A_cpuset_that_forbids_the_node_is_found_before_and_mended_by_the_command_it_names()
    {
        using var target = TargetProcess.Start("anon", 8);
        using Cpuset cpuset = new(Fast);
        cpuset.Add(target.Pid);
        ForbiddenNode? forbidden = NodePreflight.Check(target.Pid, Slow);
        Assert.Equal($"echo 0-1 > {cpuset.Path}/cpuset.mems", forbidden?.Mend);
        Assert.Equal(-Errno.EACCES, RawMove(target.Addresses(0, 4), target, MoveScope.Own).Result);
        MoveReport report = await MoveAsync(target, Enumerable.Range(0, 10));
        Assert.Equal(10, report.Counters[MoveOutcome.ForbiddenByCpuset]);
        Assert.Contains(forbidden!.Mend!, report.Problem, StringComparison.Ordinal);

        Shell(forbidden.Mend!);
        Assert.Null(NodePreflight.Check(target.Pid, Slow));
        Assert.Equal(10, (await MoveAsync(target, Enumerable.Range(0, 10))).Moved);
    }

    [Fact(Explicit = true)]
    public async Task The_agents_own_cpuset_is_told_from_a_full_node()
    {
        using var target = TargetProcess.Start("anon", 8);
        MoveReport report;
        using (Cpuset cpuset = new(Fast))
        {
            cpuset.Add(Environment.ProcessId);
            Assert.Equal(-Errno.ENOMEM, RawMove(target.Addresses(0, 4), target, MoveScope.Own).Result);
            report = await MoveAsync(target, Enumerable.Range(0, 10));
        }

        Assert.Equal(10, report.Counters[MoveOutcome.ForbiddenByCpuset]);
        Assert.StartsWith("the agent itself: ", report.Problem, StringComparison.Ordinal);
    }

    [Fact(Explicit = true)]
    public async Task A_process_that_dies_half_way_is_an_outcome()
    {
        using var target = TargetProcess.Start("anon", 64);
        PageMover mover = NewMover(new PageMoverOptions { BytesPerSecond = 4 << 20 });
        Task<MoveReport> moving = mover.MoveAsync(
            mover.Target(target.Pid, target.Layout), Pages(Enumerable.Range(0, target.Touched)), Slow, Token);
        await UntilSomeMovedAsync(target);
        target.Kill();
        MoveReport report = await moving;
        Assert.InRange(report.Moved, 1, target.Touched - 1);
        Assert.Equal(target.Touched, report.Moved + report.Counters[MoveOutcome.ProcessGone]);
        Assert.Equal(
            GuestMemoryError.ProcessGone,
            Assert.Throws<GuestMemoryException>(() => NodesOf(target)).Kind);
    }

    [Fact(Explicit = true)]
    public async Task Memory_given_back_half_way_is_absent()
    {
        using var target = TargetProcess.Start("anon", 64);
        PageMover mover = NewMover(new PageMoverOptions { BytesPerSecond = 4 << 20 });
        Task<MoveReport> moving = mover.MoveAsync(
            mover.Target(target.Pid, target.Layout), Pages(Enumerable.Range(0, target.Touched)), Slow, Token);
        await UntilSomeMovedAsync(target);
        int half = target.Touched / 2;
        target.Tell($"unmap {half} {half}");
        MoveReport report = await moving;
        Assert.InRange(report.Moved, half, target.Touched - 1);
        Assert.Equal(target.Touched, report.Moved + report.Counters[MoveOutcome.Absent]);
    }

    [Fact(Explicit = true)]
    public async Task The_rate_is_kept_over_ten_seconds()
    {
        // So low that an emulated host can keep it even on a busy machine.
        const long rate = 4 << 20;
        using var target = TargetProcess.Start("anon", 128);
        PageMover mover = NewMover(new PageMoverOptions { BytesPerSecond = rate });
        using var end = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        long started = Stopwatch.GetTimestamp();
        MoveReport report = await mover.MoveAsync(
            mover.Target(target.Pid, target.Layout), Pages(Enumerable.Range(0, target.Touched)), Slow, end.Token);
        double perSecond = report.Moved * PageSizes.PageBytes / Stopwatch.GetElapsedTime(started).TotalSeconds;
        Assert.InRange(perSecond / rate, 0.95, 1.05);
    }

    [Theory(Explicit = true)]
    [InlineData("anon")]
    [InlineData("memfd")]
    [InlineData("thp")]
    public async Task Residency_agrees_with_the_kernel_page_by_page(string kind)
    {
        EnableThp();
        using var target = TargetProcess.Start(kind, 16);
        await MoveAsync(target, Enumerable.Range(0, target.Pages).Where(page => page / 512 % 2 == 0));
        byte[] nodes = NodesOf(target);
        var status = new int[target.Pages];
        Assert.Equal(0, _calls.QueryPages(target.Pid, target.Addresses(0, target.Pages), status));
        Assert.Equal(status.Select(s => s < 0 ? Residency.Absent : (byte)s), nodes);
        Assert.Equal([target.Touched / 2, target.Touched / 2], ResidencyReader.Count(nodes, Slow));
    }

    [Fact(Explicit = true)]
    public async Task A_node_is_filled_without_a_failed_allocation_in_the_kernel()
    {
        using var target = TargetProcess.Start("anon", 160);
        using TargetProcess filler = FillSlowNode(40);
        int failures = FailedAllocations();
        MoveReport report = await MoveAsync(target, Enumerable.Range(0, target.Touched));
        Assert.InRange(report.Moved, 1, target.Touched - 1);
        Assert.True(report.Counters[MoveOutcome.TargetFull] > 0, "the node is full");
        Assert.Equal(failures, FailedAllocations());
    }

    [Fact(Explicit = true)]
    public async Task An_exchange_works_where_the_slow_node_has_room_for_a_part_of_it_only()
    {
        using var cold = TargetProcess.Start("anon", 200);
        int half = cold.Touched / 2;
        await MoveAsync(cold, Enumerable.Range(half, half));
        using TargetProcess filler = FillSlowNode(50);
        PageMover mover = NewMover();
        var exchange = new PageExchange(mover);
        ExchangeReport report = await exchange.RunAsync(
            mover.Target(cold.Pid, cold.Layout),
            new MoveOrder(Pages(Enumerable.Range(0, half)), Slow),
            new MoveOrder(Pages(Enumerable.Range(half, half)), Fast),
            room: 0,
            Token);
        Assert.Equal((half, half), (report.Demoted.Moved, report.Promoted.Moved));
        Assert.All(NodesOf(cold)[..half], node => Assert.Equal(Slow, node));
        Assert.Equal("ok", cold.Tell("check"));
    }

    [Fact(Explicit = true)]
    public async Task Pages_that_another_tool_moves_back_are_noticed()
    {
        using var target = TargetProcess.Start("anon", 8);
        PageMover mover = NewMover();
        MoveTarget memory = mover.Target(target.Pid, target.Layout);
        PageRun[] pages = Pages(Enumerable.Range(0, 100));
        await mover.MoveAsync(memory, pages, Slow, Token);
        Assert.Equal(0, memory.Observe(0, NodesOf(target)));
        Shell($"migratepages {target.Pid} {Slow} {Fast}");
        Assert.Equal(100, memory.Observe(0, NodesOf(target)));
    }

    private static PageMover NewMover(PageMoverOptions? options = null) =>
        new(new LinuxNumaCalls(), options ?? new PageMoverOptions(), TimeProvider.System);

    private static PageRun[] Pages(IEnumerable<int> pages) => [.. pages.Select(page => new PageRun(page, 1))];

    private static PageRun[] Blocks(int pages) =>
        [.. Enumerable.Range(0, pages / PageSizes.BlockPages).Select(
            block => new PageRun(block * PageSizes.BlockPages, PageSizes.BlockPages))];

    private static async Task<MoveReport> MoveAsync(TargetProcess target, IEnumerable<int> pages, int node = Slow)
    {
        PageMover mover = NewMover();
        return await mover.MoveAsync(mover.Target(target.Pid, target.Layout), Pages(pages), node, Token);
    }

    private static async Task UntilSomeMovedAsync(TargetProcess target)
    {
        while (CountOn(target, Slow) == 0)
            await Task.Delay(20, Token);
    }

    private static void EnableThp() => File.WriteAllText("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");

    /// <summary>Leaves about so many MiB of the slow node free.</summary>
    private static TargetProcess FillSlowNode(int leaveMebibytes)
    {
        // The kernel's reserve, which neither filler nor migration gets, grows when 2 MiB pages are enabled: keep it small.
        File.WriteAllText("/proc/sys/vm/min_free_kbytes", "8192");

        // Half of what a target maps is touched.
        long free = NumaTopology.Read().ReadFreeBytes(Slow) >> 20;
        return TargetProcess.Start("anon", 2 * (int)(free - leaveMebibytes), Slow);
    }

    /// <summary>Failures to allocate memory in the kernel's log.</summary>
    private static int FailedAllocations()
    {
        using Process dmesg = Process.Start(new ProcessStartInfo("dmesg") { RedirectStandardOutput = true })!;
        return dmesg.StandardOutput.ReadToEnd().Split('\n').Count(
            line => line.Contains("page allocation failure", StringComparison.Ordinal));
    }

    private static void Shell(string command)
    {
        using Process shell = Process.Start("sh", ["-c", command]);
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
    }

    private static byte[] NodesOf(TargetProcess target)
    {
        var nodes = new byte[target.Layout.PageCount];
        new ResidencyReader(new LinuxNumaCalls()).Read(target.Pid, target.Layout, 0, nodes);
        return nodes;
    }

    private static int CountOn(TargetProcess target, int node) => NodesOf(target).Count(n => n == node);

    private (int Result, int[] Status) RawMove(ulong[] addresses, TargetProcess target, MoveScope scope)
    {
        var status = new int[addresses.Length];
        Array.Fill(status, Unwritten);
        return (_calls.MovePages(target.Pid, addresses, Slow, status, scope), status);
    }

    /// <summary>A cgroup with one memory node, for as long as it is needed; its processes go back where cgroups begin.</summary>
    private sealed class Cpuset : IDisposable
    {
        private const string Root = "/sys/fs/cgroup";

        public Cpuset(int node)
        {
            File.WriteAllText(Root + "/cgroup.subtree_control", "+cpuset");
            Directory.CreateDirectory(Path);
            File.WriteAllText(Path + "/cpuset.mems", node.ToString(CultureInfo.InvariantCulture));
        }

        public string Path { get; } = $"{Root}/virttier-test";

        public void Add(int pid) => Enter(Path, pid.ToString(CultureInfo.InvariantCulture));

        public void Dispose()
        {
            foreach (string pid in File.ReadAllLines(Path + "/cgroup.procs"))
                Enter(Root, pid);
            Directory.Delete(Path);
        }

        private static void Enter(string cgroup, string pid) => File.WriteAllText(cgroup + "/cgroup.procs", pid);
    }

    /// <summary>A pool of 2 MiB pages on one node, for as long as it is needed.</summary>
    private sealed class HugePages : IDisposable
    {
        public HugePages(int node, int count)
        {
            Dispose();
            File.WriteAllText(
                $"/sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages",
                count.ToString(CultureInfo.InvariantCulture));
        }

        /// <summary>Empties the pools of all nodes: a page that is moved takes its place in the pool along.</summary>
        public void Dispose() => File.WriteAllText("/proc/sys/vm/nr_hugepages", "0");
    }
}
