// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Splitting;
using VirtTier.Memory.Tests.Emulated;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Splitting;

/// <summary>The running kernel splits and joins the 2 MiB pages of a child (target.c). Needs root and a C compiler.</summary>
[Trait("Ring", "host")]
public sealed class RealHugePagesTests(RealHugePagesTests.Program program) : IClassFixture<RealHugePagesTests.Program>
{
    private const int Mebibytes = 16;
    private const int Blocks = Mebibytes / 2 / 2; // half of it is touched

    private readonly LinuxHugePages _huge = new();

    [Theory]
    [InlineData("thp")]
    [InlineData("memfd")]
    public void What_is_split_is_small_and_what_is_joined_is_huge(string kind)
    {
        using TargetProcess target = StartHuge(kind);
        Assert.Equal(Blocks, HugeOf(target));
        Assert.Equal(SplitOutcome.Done, Split(target, 1));
        Assert.Equal(Blocks - 1, HugeOf(target));
        Assert.Equal(SplitOutcome.Done, Split(target, 1)); // it is already
        // Each page can be found, and so moved, although the process did not touch it since.
        int[] status = new int[PageSizes.BlockPages];
        ulong[] pages = target.Addresses(PageSizes.BlockPages, PageSizes.BlockPages);
        new LinuxNumaCalls().QueryPages(target.Pid, pages, status);
        Assert.All(status, node => Assert.True(node >= 0, $"{node}"));
        Assert.Equal(SplitOutcome.Done, Join(target, 1));
        Assert.Equal(Blocks, HugeOf(target));
        Assert.Equal(SplitOutcome.Done, Join(target, 1));
        Assert.Equal("ok", target.Tell("check"));
    }

    [Theory]
    [InlineData("thp", "share", SplitOutcome.Shared)]
    [InlineData("memfd", "share", SplitOutcome.Shared)]
    [InlineData("thp", "lock", SplitOutcome.Locked)]
    [InlineData("memfd", "lock", SplitOutcome.Locked)]
    [InlineData("thp", "pin 600", SplitOutcome.Pinned)]
    [InlineData("memfd", "pin 600", SplitOutcome.Pinned)]
    public void What_cannot_be_split_says_why(string kind, string command, SplitOutcome outcome)
    {
        using TargetProcess target = StartHuge(kind);
        target.Tell(command);
        Assert.Equal(outcome, Split(target, 1));
        if (outcome == SplitOutcome.Pinned)
        {
            target.Tell("unpin");
            Assert.Equal(SplitOutcome.Done, Split(target, 1));
        }
        Assert.Equal("ok", target.Tell("check"));
    }

    [Fact]
    public void A_hugetlb_page_is_never_split()
    {
        if (!File.ReadLines("/proc/meminfo").Any(line => line.StartsWith("HugePages_Free:", StringComparison.Ordinal)
            && int.Parse(line.Split(' ')[^1], CultureInfo.InvariantCulture) >= Blocks * 2))
            Assert.Skip($"fewer than {Blocks * 2} hugetlb pages are free");
        using TargetProcess target = program.Start("hugetlb", Mebibytes);
        Assert.Equal(SplitOutcome.Hugetlb, Split(target, 1));
        Assert.Equal(SplitOutcome.Hugetlb, Join(target, 1));
        Assert.Equal("ok", target.Tell("check"));
    }

    [Fact]
    public void What_is_gone_says_so()
    {
        using TargetProcess target = StartHuge("thp");
        Assert.Equal(SplitOutcome.Gone, Split(target, Blocks)); // never touched
        target.Tell($"unmap {PageSizes.BlockPages} {PageSizes.BlockPages}");
        Assert.Equal(SplitOutcome.Gone, Split(target, 1));
        Assert.NotEqual(SplitOutcome.Done, Join(target, 1));
        target.Kill();
        Assert.Equal(SplitOutcome.Gone, Split(target, 0));
        Assert.Equal(SplitOutcome.Gone, Join(target, 0));
    }

    [Theory]
    [InlineData("thp")]
    [InlineData("memfd")]
    public void One_that_its_owner_maps_page_by_page_is_seen_to_be_one_until_it_is_split(string kind)
    {
        using TargetProcess target = StartHuge(kind);
        target.Tell($"guard {PageSizes.BlockPages + 100}");
        Assert.Equal(Blocks - 1, HugeOf(target));
        Assert.All(PagesOf(target), page => Assert.Equal(HugePage.Whole, page));
        Assert.Equal(SplitOutcome.Done, Split(target, 1));
        Assert.Equal(SplitOutcome.Done, Split(target, 2));
        Assert.Equal([HugePage.Whole, HugePage.None, HugePage.None, HugePage.Whole], PagesOf(target));
        Assert.Equal("ok", target.Tell("check"));
    }

    [Theory]
    [InlineData(0, 100)]
    [InlineData(200, 100)]
    [InlineData(412, 100)]
    [InlineData(1, 500)]
    public void One_of_which_a_part_was_given_back_is_torn_and_gives_up_that_memory_when_it_is_split(int first, int count)
    {
        using TargetProcess target = StartHuge("thp");
        target.Tell($"discard {PageSizes.BlockPages + first} {count}");
        Assert.Equal([HugePage.Whole, HugePage.Torn, HugePage.Whole, HugePage.Whole], PagesOf(target));
        Assert.Equal(SplitOutcome.Done, Split(target, 1));
        Assert.Equal([HugePage.Whole, HugePage.None, HugePage.Whole, HugePage.Whole], PagesOf(target));
        Assert.Equal(SplitOutcome.Done, Split(target, 1)); // it is already
        byte[] nodes = new byte[target.Pages];
        new ResidencyReader(new LinuxNumaCalls()).Read(target.Pid, target.Layout, 0, nodes);
        Assert.Equal(count, nodes.AsSpan(PageSizes.BlockPages, PageSizes.BlockPages).Count(Residency.Absent));
    }

    [Fact]
    public void An_address_within_a_block_is_refused()
    {
        using TargetProcess target = StartHuge("thp");
        SplitOutcome[] outcomes = new SplitOutcome[2];
        ulong[] blocks = [AddressOf(target, 1) + 4096, AddressOf(target, 1)];
        _huge.Split(target.Pid, blocks, outcomes);
        Assert.Equal([SplitOutcome.Refused, SplitOutcome.Done], outcomes);
        _huge.Join(target.Pid, blocks, outcomes);
        Assert.Equal([SplitOutcome.Refused, SplitOutcome.Done], outcomes);
        Assert.Throws<ArgumentException>(() => _huge.Join(target.Pid, [target.Address], []));
    }

    [Theory]
    [InlineData("thp")]
    [InlineData("memfd")]
    public void Nothing_is_lost_in_ten_thousand_splits_and_joins(string kind)
    {
        using TargetProcess target = StartHuge(kind);
        SplitMoveAndJoin(target, Blocks, times: 10_000);
    }

    /// <summary>Splits, moves single pages to and fro where there are two nodes, and joins, all blocks in turn.</summary>
    internal static void SplitMoveAndJoin(TargetProcess target, int blocks, int times)
    {
        LinuxHugePages huge = new();
        LinuxNumaCalls numa = new();
        int[] nodes = [.. Enumerable.Range(0, 2).Where(node => Directory.Exists($"/sys/devices/system/node/node{node}"))];
        ulong[] addresses = [.. Enumerable.Range(0, blocks).Select(block => AddressOf(target, block))];
        SplitOutcome[] outcomes = new SplitOutcome[blocks];
        int[] status = new int[PageSizes.BlockPages / 8];
        int splits = 0, joins = 0;
        for (int round = 0; round * blocks < times; round++)
        {
            huge.Split(target.Pid, addresses, outcomes);
            splits += outcomes.Count(outcome => outcome == SplitOutcome.Done);
            for (int block = 0; block < blocks && nodes.Length > 1; block++)
            {
                // Every eighth page, each time others.
                int first = (block * PageSizes.BlockPages) + (round % 8);
                ulong[] some = [.. Enumerable.Range(0, status.Length).Select(page => target.Addresses(first + (page * 8), 1)[0])];
                numa.MovePages(target.Pid, some, nodes[round % 2], status, MoveScope.Own);
            }
            huge.Join(target.Pid, addresses, outcomes);
            joins += outcomes.Count(outcome => outcome == SplitOutcome.Done);
            if (round % 100 == 0)
                Assert.Equal("ok", target.Tell("check"));
        }
        Assert.Equal("ok", target.Tell("check"));
        // Some find a page busy at that moment, and are tried again a round later.
        Assert.InRange(splits, times * 0.95, times + blocks);
        Assert.InRange(joins, times * 0.95, times + blocks);
    }

    // The kernel makes no huge pages of memfd by itself here, but does when it is asked to.
    private TargetProcess StartHuge(string kind)
    {
        TargetProcess target = program.Start(kind, Mebibytes);
        target.Tell("join");
        return target;
    }

    private SplitOutcome Split(TargetProcess target, int block)
    {
        SplitOutcome[] outcomes = new SplitOutcome[1];
        _huge.Split(target.Pid, [AddressOf(target, block)], outcomes);
        return outcomes[0];
    }

    private SplitOutcome Join(TargetProcess target, int block)
    {
        SplitOutcome[] outcomes = new SplitOutcome[1];
        _huge.Join(target.Pid, [AddressOf(target, block)], outcomes);
        return outcomes[0];
    }

    private static HugePage[] PagesOf(TargetProcess target)
    {
        HugePage[] pages = new HugePage[2 * Blocks];
        new ResidencyReader(new LinuxNumaCalls()).Read(target.Pid, target.Layout, 0, new byte[target.Pages], pages);
        Assert.All(pages[Blocks..], page => Assert.Equal(HugePage.None, page)); // never touched
        return pages[..Blocks];
    }

    private static ulong AddressOf(TargetProcess target, int block) => target.Addresses(block * PageSizes.BlockPages, 1)[0];

    // By the kernel's own account, not by the flags that the code under test reads.
    private static int HugeOf(TargetProcess target) =>
        File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{target.Pid}/smaps"))
            .Where(line => line.StartsWith("AnonHugePages:", StringComparison.Ordinal)
                || line.StartsWith("ShmemPmdMapped:", StringComparison.Ordinal))
            .Sum(line => int.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture))
            / 2048;

    /// <summary>target.c, compiled.</summary>
    public sealed class Program : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("split-").FullName;

        public Program()
        {
            if (!Environment.IsPrivilegedProcess)
                Assert.Skip("root is needed to split another process's pages");
            using Process compiler = System.Diagnostics.Process.Start("cc", ["-O2", "-o", File, SourceOfTarget()]);
            compiler.WaitForExit();
            Assert.Equal(0, compiler.ExitCode);
        }

        private string File => Path.Combine(_folder, "target");

        public void Dispose() => Directory.Delete(_folder, recursive: true);

        internal TargetProcess Start(string kind, int mebibytes) => TargetProcess.Start(File, kind, mebibytes, node: null);

        private static string SourceOfTarget([CallerFilePath] string here = "") =>
            Path.Combine(Path.GetDirectoryName(here)!, "..", "Emulated", "target.c");
    }
}
