// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Tests.Fakes;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Migration;

public sealed class MovesElsewhereTests : IDisposable
{
    private const ulong Hva = 0x7f00_0000_0000;
    private readonly TempTree _tree = new();
    private readonly HurriedTime _time = new();
    private readonly ModelKernel _kernel = new();

    public void Dispose() => _tree.Dispose();

    [Fact]
    public async Task Moves_of_others_and_joins_count_and_own_moves_do_not()
    {
        PageMover mover = new(_kernel, new PageMoverOptions(), _time);
        MovesElsewhere elsewhere = new(mover, _time, _tree.Root);
        Write(moved: 100, joined: 2);
        Assert.Equal(100 + (2 * 512), elsewhere.Count());

        for (int page = 0; page < 8; page++)
            _kernel.Add(Hva + ((ulong)page * PageSizes.PageBytes), new ModelFolio());
        await mover.MoveAsync(
            mover.Target(1, GuestLayout.FromMemslots([new Memslot(0, Hva, PageSizes.BlockPages)])),
            Enumerable.Range(0, 8).Select(page => new PageRun(page, 1)).ToArray(), 1, TestContext.Current.CancellationToken);
        Assert.Equal(8, mover.MovedPages);
        Write(moved: 110, joined: 3);
        Assert.Equal(100 + (2 * 512), elsewhere.Count()); // of the last second
        _time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal(102 + (3 * 512), elsewhere.Count());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("nr_free_pages 1\n")]
    [InlineData("pgmigrate_success")]
    [InlineData("pgmigrate_success \n")]
    [InlineData("pgmigrate_success -1\n")]
    [InlineData("pgmigrate_success 99999999999999999999\n")]
    [InlineData("not_pgmigrate_success 1\n")]
    public void Where_the_kernel_does_not_say_it_nothing_is_claimed(string? text)
    {
        if (text is not null)
            _tree.File("vmstat", text);
        Assert.Null(new MovesElsewhere(new PageMover(_kernel, new PageMoverOptions(), _time), _time, _tree.Root).Count());
    }

    [Theory]
    [InlineData("pgmigrate_success 5", 5)]
    [InlineData("pgmigrate_success 5\nthp_collapse_alloc x\n", 5)]
    [InlineData("a 1\npgmigrate_success 5\nthp_collapse_alloc_failed 9\n", 5)]
    public void Kernels_without_huge_pages_tell_of_moves(string text, long expected)
    {
        _tree.File("vmstat", text);
        Assert.Equal(
            expected, new MovesElsewhere(new PageMover(_kernel, new PageMoverOptions(), _time), _time, _tree.Root).Count());
    }

    private void Write(long moved, long joined) =>
        _tree.File("vmstat", $"nr_free_pages 1\npgmigrate_success {moved}\npgmigrate_fail 7\nthp_collapse_alloc {joined}\n");
}
