// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Tiering.Tests;

/// <summary>Guests of which some memory is mapped by 4 KiB and some by 2 MiB, with budgets of few blocks.</summary>
public sealed class PagesAndBlocksTests
{
    private const int Block = PageSizes.BlockPages;

    [Theory]
    [InlineData(1)]
    [InlineData(0.25)] // decisions within the round too
    public void A_block_neither_stays_out_nor_goes_for_a_handful_of_pages_to_be_born(double spacing)
    {
        ModelGuest guest = new(4 * Block, hugePages: true);
        guest.Planner.DecisionSpacing = spacing;
        guest.Touch(..(3 * Block)); // the last block may still be born, and room is kept for that
        int harvest = 0;
        void Access()
        {
            if (harvest++ % 4 == 3)
                guest.Touch(0);
        }
        guest.Run(20, budget: Block, Access);

        Assert.InRange(guest.Plan.HeadroomPages, 1, (Block / 2) - 1);
        Assert.Equal(1, guest.ShareFast(..Block));
        Assert.Equal(Block, guest.Fast);
        long moved = guest.Moved;
        guest.Run(20, budget: Block, Access);
        Assert.Equal(moved, guest.Moved);
    }

    [Fact]
    public void A_few_hot_pages_do_not_displace_a_block_that_is_worth_more()
    {
        ModelGuest guest = new(4 * Block);
        guest.Sizes[0] = MappingSize.Size2M;
        guest.Touch(..);
        int harvest = 0;
        guest.Run(30, budget: Block, () =>
        {
            if (harvest++ % 4 > 0)
                guest.Touch(0);
            guest.Touch(Block..(Block + 20));
        });

        Assert.Equal(1, guest.ShareFast(..Block));
        Assert.Equal(3 * Block, guest.Moved);
    }

    [Fact]
    public void A_hot_page_takes_the_place_of_a_cold_one_where_a_block_is_colder_but_too_much()
    {
        ModelGuest guest = new(8 * Block);
        guest.Sizes[0] = MappingSize.Size2M;
        int harvest = 0;
        guest.Touch(..);
        void Access(Range hot)
        {
            if (harvest++ % 4 == 0)
                guest.Touch(0);
            if (harvest % 2 == 0)
                guest.Touch(Block..(2 * Block));
            guest.Touch(hot);
        }
        guest.Run(30, budget: 2 * Block, () => Access((2 * Block)..(2 * Block)));
        Assert.Equal(1, guest.ShareFast(..Block));

        guest.Run(30, budget: 2 * Block, () => Access((4 * Block)..((4 * Block) + 30)));
        Assert.Equal(1, guest.ShareFast((4 * Block)..((4 * Block) + 30)));
        Assert.Equal(1, guest.ShareFast(..Block));
    }
}
