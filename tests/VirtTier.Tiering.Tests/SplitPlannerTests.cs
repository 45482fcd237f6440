// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Splitting;

namespace VirtTier.Tiering.Tests;

/// <summary>Which 2 MiB blocks are placed page by page, and when they are joined again.</summary>
public sealed class SplitPlannerTests
{
    private const int Block = PageSizes.BlockPages;
    private const int Blocks = 64;
    private const long Budget = Blocks * Block / 8;

    private static readonly SplitLimits s_unlimited = new(1, int.MaxValue);

    private readonly ModelGuest _guest = new(Blocks * Block, hugePages: true, sampled: true);
    private readonly SplitPlan _plan = new();
    private readonly int[] _timesSplit = new int[Blocks];
    private int _splits;
    private int _joins;
    private bool _mayPass; // what keeps a block from being split

    public SplitPlannerTests()
    {
        TouchEachBlock();
        _guest.Harvest();
    }

    // Each block's only page in use.
    private static int HotPage(int block) => (block * Block) + (block * 37 % Block);

    [Fact]
    public void Hot_pages_strewn_over_all_blocks_come_to_be_fast()
    {
        Run(20, s_unlimited, TouchHotPages);
        Assert.InRange(FastHotPages(), Blocks * 0.95, Blocks);
        long moved = _guest.Moved;
        Run(20, s_unlimited, TouchHotPages);
        Assert.InRange(_guest.Moved - moved, 0, Block);
    }

    [Fact]
    public void Without_splits_only_as_many_as_blocks_fit()
    {
        Run(20, new SplitLimits(0, int.MaxValue), TouchHotPages);
        Assert.Equal(0, _splits);
        Assert.InRange(FastHotPages(), 1, Blocks / 8);
    }

    [Fact]
    public void While_more_is_fast_than_may_be_only_what_is_slow_is_split()
    {
        bool wasOver = false;
        Run(30, s_unlimited, TouchHotPages, maxMoves: 3 * Block, canSplit: block =>
        {
            bool isOver = _guest.Fast > Budget;
            Assert.False(isOver && _guest.Residencies[block * Block] == Residency.Fast, $"block {block} is split in DRAM");
            wasOver |= isOver;
            return true;
        });
        Assert.True(wasOver);
        Assert.InRange(FastHotPages(), Blocks * 0.95, Blocks);
    }

    [Theory]
    [InlineData(0.04)]
    [InlineData(0.1)]
    [InlineData(0.5)]
    public void No_more_are_split_than_may_be(double share)
    {
        for (int round = 0; round < 30; round++)
        {
            Run(1, new SplitLimits(share, 7), TouchHotPages);
            Assert.InRange(_guest.Planner.SplitBlocks, 0, share * Blocks);
            Assert.InRange(_plan.Splits.Length, 0, 7);
        }
        Assert.InRange(_guest.Planner.SplitBlocks, Math.Floor(share * Blocks * 0.9), share * Blocks);
    }

    [Fact]
    public void What_becomes_evenly_hot_is_joined()
    {
        Run(20, s_unlimited, TouchHotPages);
        int split = _guest.Planner.SplitBlocks;
        Run(20, s_unlimited, TouchAll);
        Assert.InRange(_guest.Planner.SplitBlocks, 0, split / 10);
    }

    [Fact]
    public void What_is_slow_is_joined_there_also_while_more_is_fast_than_may_be()
    {
        Run(20, s_unlimited, TouchHotPages);
        int split = _guest.Planner.SplitBlocks;
        Run(20, s_unlimited, TouchAll, budget: 0, maxMoves: 0);
        Assert.InRange(_guest.Fast, 1, Blocks * Block);
        Assert.InRange(_guest.Planner.SplitBlocks, 0, split / 10);
    }

    [Fact]
    public void What_becomes_cold_is_joined_on_the_slow_tier()
    {
        Run(20, s_unlimited, TouchHotPages);
        Assert.InRange(_guest.Planner.SplitBlocks, Blocks / 2, Blocks);
        // Other memory is in use now: the first 32 blocks, as a whole.
        Run(120, s_unlimited, () => _guest.Touch(..(int)Budget));
        Assert.InRange(_guest.Planner.SplitBlocks, 0, Blocks / 8);
    }

    [Fact]
    public void No_block_goes_back_and_forth()
    {
        for (int phase = 0; phase < 10; phase++)
            Run(16, s_unlimited, phase % 2 == 0 ? TouchHotPages : TouchAll);
        Assert.InRange(_splits, Blocks / 2, 3 * Blocks);
        Assert.All(_timesSplit, times => Assert.InRange(times, 0, 3));
    }

    [Fact]
    public void What_cannot_be_split_is_not_asked_for_again()
    {
        HashSet<int> refused = [];
        Run(60, s_unlimited, TouchHotPages, block =>
        {
            Assert.True(refused.Add(block), $"block {block} is asked for again");
            return false;
        });
        Assert.NotEmpty(refused);
        Assert.Equal(refused.Count, _guest.Planner.UnsplittableBlocks);
        Assert.Equal(0, _guest.Planner.SplitBlocks);
    }

    // A page is held for a moment now and then, by whoever looks at it or moves it.
    [Fact]
    public void What_was_busy_is_asked_for_once_more_later()
    {
        _mayPass = true;
        int[] asked = new int[Blocks];
        Run(150, s_unlimited, TouchHotPages, block => asked[block]++ > 0);
        Assert.All(asked, times => Assert.InRange(times, 0, 2));
        Assert.InRange(_guest.Planner.SplitBlocks, Blocks / 2, asked.Count(times => times == 2));
        Assert.Equal(asked.Count(times => times == 1), _guest.Planner.UnsplittableBlocks);
    }

    [Fact]
    public void What_comes_back_whole_by_itself_is_counted_and_left_alone()
    {
        Run(20, s_unlimited, TouchHotPages);
        int split = _guest.Planner.SplitBlocks;
        for (int block = 0; block < Blocks; block++)
            Whole(block);
        _splits = 0;
        Run(60, s_unlimited, TouchHotPages);
        Assert.Equal(split, _guest.Planner.CameBack);
        Assert.InRange(_splits, 0, Blocks - split);
    }

    [Fact]
    public void Nothing_is_split_where_there_is_room_for_all()
    {
        Run(20, s_unlimited, TouchHotPages, budget: Blocks * Block);
        Assert.Equal(0, _splits);
    }

    // A page that happens to be sampled thrice of ten is a coincidence now and then.
    [Fact]
    public void Hardly_anything_is_split_of_which_all_is_in_use()
    {
        Run(30, s_unlimited, () =>
        {
            TouchEachBlock();
            for (int i = 0; i < 25; i++)
                _guest.Planner.Sample(_guest.Random.Next(Blocks * Block), write: false);
        });
        Assert.InRange(_splits, 0, Blocks / 16);
    }

    // A sweep over a block is sampled where it enters: a few blocks show what such samples are worth.
    [Fact]
    public void Where_samples_mislead_only_a_few_are_split_and_joined_again()
    {
        Run(100, s_unlimited, () =>
        {
            _guest.Touch(..);
            for (int block = 0; block < Blocks; block++)
            {
                if (_guest.Random.Next(4) == 0 && _guest.Sizes[block] == MappingSize.Size2M)
                    _guest.Planner.Sample(HotPage(block), write: false);
            }
        });
        Assert.InRange(_splits, 1, 8);
        Assert.Equal(_splits, _joins);
    }

    [Theory]
    [InlineData(100, 8, 0, false)]     // DRAM is to spare
    [InlineData(100, 512, 0.1, false)] // all of it is in use
    [InlineData(100, 8, 0.1, true)]    // fast as a whole: most of its room is free
    [InlineData(100, 8, 1, true)]      // slow as a whole: its best pages come in
    [InlineData(100, 8, 100, false)]   // not even these do
    public void A_split_pays_where_few_pages_carry_a_block(double accesses, double used, double marginalValue, bool pays)
    {
        Assert.Equal(pays, SplitGain.Of(accesses, used, marginalValue) > 0);
        Assert.InRange(SplitGain.Of(accesses, used, marginalValue), -SplitGain.TlbShare * accesses, accesses);
    }

    private static void ForEachBlock(Action<int> action)
    {
        for (int block = 0; block < Blocks; block++)
            action(block);
    }

    private void TouchEachBlock() => ForEachBlock(block => _guest.Touch(block * Block));

    private void TouchHotPages() => ForEachBlock(block =>
    {
        _guest.Touch(HotPage(block));
        if (_guest.Sizes[block] == MappingSize.Size2M && _guest.Random.Next(4) == 0)
            _guest.Planner.Sample(HotPage(block), write: false);
    });

    private void TouchAll()
    {
        _guest.Touch(..);
        for (int i = 0; i < 25; i++)
            _guest.Planner.Sample(_guest.Random.Next(Blocks * Block), write: false);
    }

    private int FastHotPages() => Enumerable.Range(0, Blocks).Count(b => _guest.Residencies[HotPage(b)] == Residency.Fast);

    private void Run(
        int rounds, SplitLimits limits, Action access, Func<int, bool>? canSplit = null, long budget = Budget,
        long maxMoves = long.MaxValue)
    {
        for (int round = 0; round < rounds; round++)
        {
            for (int harvest = 0; harvest < 4; harvest++)
            {
                access();
                _guest.Harvest();
            }
            _guest.Planner.PlanSplits(_guest.Residencies, limits, _plan);
            foreach (int block in _plan.Splits)
            {
                Assert.Equal(MappingSize.Size2M, _guest.Sizes[block]);
                if (canSplit?.Invoke(block) == false)
                {
                    _guest.Planner.TakeRefusal(block, _mayPass);
                    continue;
                }
                _guest.Sizes[block] = MappingSize.Size4K;
                _guest.Planner.TakeSplit(block);
                _timesSplit[block]++;
                _splits++;
            }
            foreach (int block in _plan.Joins)
            {
                Assert.Equal(MappingSize.Size4K, _guest.Sizes[block]);
                Whole(block);
                _guest.Planner.TakeJoin(block);
                _joins++;
            }
            _guest.EndRound(budget, maxMoves);
        }
    }

    // As the kernel does: on the node that most of its pages are on.
    private void Whole(int block)
    {
        Span<byte> pages = _guest.Residencies.Slice(block * Block, Block);
        int fast = pages.Count(Residency.Fast);
        pages.Fill(fast > Block / 2 ? Residency.Fast : Residency.Slow);
        _guest.Sizes[block] = MappingSize.Size2M;
    }
}
