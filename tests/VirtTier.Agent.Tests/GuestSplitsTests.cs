// SPDX-License-Identifier: Apache-2.0
using Spectre.Console;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Settings;
using VirtTier.Memory.Sampling;
using VirtTier.Memory.Splitting;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests;

/// <summary>Splits and joins of a guest's 2 MiB pages, of each of which one small page is in use.</summary>
public sealed class GuestSplitsTests : IHugePages, IDisposable
{
    private const int Block = PageSizes.BlockPages;
    private const int Blocks = FakeHost.GuestPages / Block;
    private const int Offset = 7;
    private const long Budget = Block;

    private readonly FakeHost _host = new();
    private readonly HashSet<int> _refused = [];
    private SplitOutcome _outcome;
    private int _mostAtOnce;

    public GuestSplitsTests()
    {
        _host.HugePages = true;
        _host.Splitter = this;
        // A harvest tells the block by its first page, and a page of what is split by itself.
        _host.HotPages = [.. Enumerable.Range(0, Blocks).Select(block => block * Block)];
        _host.Faults = kinds => Enumerable.Range(0, Blocks).Where(block => !_host.SplitBlocks.Contains(block))
            .Select(block => new AccessSample((uint)((block * Block) + Offset) | ((ulong)AccessKinds.Read << 61)));
        _host.BeforeHarvest = () => _host.HotPages =
            [.. Enumerable.Range(0, Blocks).Select(b => (b * Block) + (_host.SplitBlocks.Contains(b) ? Offset : 0))];
    }

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Pages_that_are_in_use_come_to_be_fast_and_figures_say_how(bool smallEntries)
    {
        if (smallEntries)
            MapBySmallEntries();
        await using DomainLoop tierer = Start(share: 1);

        await Eventually.IsTrue(() => tierer.Status.Splits >= Blocks - 1
            && tierer.Status.FastBytes <= Budget * PageSizes.PageBytes
            && Enumerable.Range(0, Blocks).Count(b => _host.NodeOf[(b * Block) + Offset] == 0) >= Blocks - 1);

        Assert.Equal(tierer.Status.Splits - tierer.Status.Joins, tierer.Status.SplitBlocks);
        Assert.Empty(tierer.Status.Unsplit);
        Assert.InRange(_mostAtOnce, 2, Blocks); // and not one by one
    }

    [Fact]
    public async Task One_that_cannot_be_split_is_not_taken_for_another()
    {
        _refused.Add(2);
        await using DomainLoop tierer = Start(share: 1);
        await Eventually.IsTrue(() => tierer.Status.Splits >= Blocks - 2 && tierer.Status.Unsplit.ContainsKey("Shared"));
        Assert.DoesNotContain(2, _host.SplitBlocks);
        Assert.Equal(1, tierer.Status.Unsplit["Shared"]);
    }

    [Fact]
    public async Task Nothing_is_split_unless_the_settings_say_so()
    {
        await using DomainLoop tierer = Start(share: 0);
        await Eventually.IsTrue(() => tierer.Status.Rounds >= 20);
        Assert.Empty(_host.SplitBlocks);
    }

    [Fact]
    public async Task While_it_runs_its_owner_may_have_it_split_and_end_that()
    {
        await using DomainLoop tierer = Start(share: 0);
        await Eventually.IsTrue(() => tierer.Status.Rounds >= 5);
        tierer.Update(Domains.Running().Orders(Budget, splitShare: 0.5));
        await Eventually.IsTrue(() => tierer.Status.SplitBlocks == Blocks / 2);

        tierer.Update(Domains.Running().Orders(Budget, splitShare: 0));
        long rounds = tierer.Status.Rounds;
        await Eventually.IsTrue(() => tierer.Status.Rounds >= rounds + 2); // the round that was under way has ended
        long splits = tierer.Status.Splits;

        // All of them are in use: split blocks are joined all the same, and no other is split.
        _host.BeforeHarvest = () => _host.HotPages = [.. Enumerable.Range(0, FakeHost.GuestPages)];
        await Eventually.IsTrue(() => tierer.Status.SplitBlocks == 0);
        Assert.Equal(splits, tierer.Status.Splits);
    }

    [Fact]
    public async Task What_cannot_be_split_is_said_and_placed_as_a_whole()
    {
        _outcome = SplitOutcome.Hugetlb;
        await using DomainLoop tierer = Start(share: 1);
        await Eventually.IsTrue(() => tierer.Status.Unsplit.GetValueOrDefault("Hugetlb") == Blocks);
        await Eventually.IsTrue(() => tierer.Status.FastBytes <= Budget * PageSizes.PageBytes);
        long rounds = tierer.Status.Rounds;
        await Eventually.IsTrue(() => tierer.Status.Rounds >= rounds + 20);
        Assert.Equal(Blocks, tierer.Status.Unsplit["Hugetlb"]); // none was asked for again
        Assert.Equal((0, 0), (tierer.Status.Splits, tierer.Status.SplitBlocks));
        StringWriter shown = new();
        StatusTable.WriteTo(
            AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(shown) }),
            new AgentStatus("1", 5, new LibvirtStatus(true, null), [], 0, [tierer.Status]));
        Assert.Contains(
            $"{tierer.Status.Name}: its hugetlb pages cannot be split, and are placed as a whole", shown.ToString(),
            StringComparison.Ordinal);
        Assert.Contains("\"unsplit\":{\"Hugetlb\":", tierer.Status.ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_comes_back_whole_is_counted_and_left_alone()
    {
        await using DomainLoop tierer = Start(share: 1);
        await Eventually.IsTrue(() => tierer.Status.SplitBlocks >= Blocks / 2);
        _host.BeforeHarvest = _host.SplitBlocks.Clear;
        await Eventually.IsTrue(() => tierer.Status.CameBackWhole >= Blocks / 2);
    }

    [Fact]
    public async Task What_only_KVM_maps_by_small_entries_moves_as_a_whole_and_within_the_budget()
    {
        MapBySmallEntries();
        HashSet<int> hot = [.. Enumerable.Range(2 * Block, Block / 2)]; // bits tell it page by page
        _host.BeforeHarvest = () =>
        {
            _host.ShowFrames();
            _host.HotPages = hot;
        };
        await using DomainLoop tierer = Start(share: 0);
        await Eventually.IsTrue(() => _host.FastPages == Budget && _host.NodeOf[2 * Block] == 0);
        _host.MostFast = 0;
        long rounds = tierer.Status.Rounds;
        hot = [.. Enumerable.Range(5 * Block, Block / 2)];
        await Eventually.IsTrue(() => tierer.Status.Rounds >= rounds + 20 && _host.NodeOf[5 * Block] == 0);
        Assert.InRange(_host.MostFast, 0, Budget);
        Assert.Empty(tierer.Status.Unmoved);
        Assert.Empty(_host.SplitBlocks);
    }

    [Fact]
    public async Task What_was_given_back_in_parts_is_split_whatever_the_settings_say()
    {
        _host.TornBlocks.UnionWith([1, 4, 6]);
        _refused.Add(4);
        MapBySmallEntries();
        await using DomainLoop tierer = Start(share: 0);
        await Eventually.IsTrue(() => _host.SplitBlocks.SetEquals([1, 6]));
        long rounds = tierer.Status.Rounds;
        await Eventually.IsTrue(() => tierer.Status.Rounds >= rounds + 3);
        Assert.Equal([1, 6], _host.SplitBlocks.Order());
        Assert.Equal((0, 0), (tierer.Status.Splits, tierer.Status.SplitBlocks));
        Assert.Empty(tierer.Status.Unsplit);
    }

    [Fact]
    public async Task Who_may_not_move_its_pages_splits_none()
    {
        _host.TornBlocks.Add(1);
        MapBySmallEntries();
        await using DomainLoop tierer = new(
            _host.Context(), Domains.ThisProcess, Domains.Running(mode: TieringMode.Observe).Orders(Budget));
        await Eventually.IsTrue(() => tierer.Status.Rounds >= 5);
        Assert.Empty(_host.SplitBlocks);
    }

    private void MapBySmallEntries()
    {
        Action before = _host.BeforeHarvest;
        _host.SmallEntries = true;
        _host.BeforeHarvest = () =>
        {
            _host.ShowFrames();
            before();
        };
        _host.ShowFrames();
    }

    void IHugePages.Split(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes)
    {
        Assert.Equal(Environment.ProcessId, pid);
        _mostAtOnce = Math.Max(_mostAtOnce, blocks.Length);
        for (int i = 0; i < blocks.Length; i++)
        {
            int block = FakeHost.BlockAt(blocks[i]);
            outcomes[i] = _refused.Contains(block) ? SplitOutcome.Shared : _outcome;
            if (outcomes[i] == SplitOutcome.Done)
                Assert.True(_host.SplitBlocks.Add(block));
        }
    }

    void IHugePages.Join(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes)
    {
        outcomes.Clear(); // done
        foreach (ulong address in blocks)
        {
            int block = FakeHost.BlockAt(address);
            Span<int> nodes = _host.NodeOf.AsSpan(block * Block, Block);
            nodes.Fill(nodes.Count(0) > Block / 2 ? 0 : 1);
            Assert.True(_host.SplitBlocks.Remove(block));
        }
    }

    private DomainLoop Start(double share) =>
        new(_host.Context(), Domains.ThisProcess, Domains.Running().Orders(Budget, share));
}
