// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Pagemap;
using VirtTier.Primitives;

namespace VirtTier.Memory.Tests.Migration;

/// <summary>The running kernel's own answers about this process's memory;
/// moves to the node where the pages are already.</summary>
public sealed class RealMovePagesTests : IDisposable
{
    private const int Pages = 3 * PageSizes.BlockPages;
    private readonly nint _memory;
    private readonly GuestLayout _layout;

    public RealMovePagesTests()
    {
        unsafe
        {
            _memory = (nint)NativeMemory.AlignedAlloc(Pages * PageSizes.PageBytes, 2 << 20);
        }

        _layout = GuestLayout.FromMemslots([new Memslot(0, (ulong)_memory, Pages)]);
    }

    public unsafe void Dispose() => NativeMemory.AlignedFree((void*)_memory);

    [Fact]
    public async Task Touched_pages_are_resident_and_movable_and_untouched_ones_absent()
    {
        for (int page = 0; page < PageSizes.BlockPages; page++)
            Marshal.WriteByte(_memory, page * PageSizes.PageBytes, 1);
        Assert.Equal(0, Marshal.ReadByte(_memory, 2 * PageSizes.BlockPages * PageSizes.PageBytes));

        var calls = new LinuxNumaCalls();
        var nodes = new byte[Pages];
        new ResidencyReader(calls).Read(Environment.ProcessId, _layout, 0, nodes);
        int node = nodes[0];
        Assert.InRange(node, 0, 63);
        Assert.All(nodes[..PageSizes.BlockPages], value => Assert.Equal(node, value));
        Assert.Equal(Residency.Absent, nodes[^1]);
        Assert.Equal(Residency.Absent, nodes[2 * PageSizes.BlockPages]);

        var mover = new PageMover(calls, new PageMoverOptions(), TimeProvider.System);
        MoveTarget target = mover.Target(Environment.ProcessId, _layout);
        PageRun[] asked = [new(0, 1), new(5, 1), new(Pages - 1, 1), new(7, 1)];
        MoveReport report = await mover.MoveAsync(target, asked, node, TestContext.Current.CancellationToken);
        Assert.Equal(
            [MoveOutcome.Moved, MoveOutcome.Moved, MoveOutcome.Absent, MoveOutcome.Moved],
            report.Outcomes.ToArray());
        Assert.Null(report.Problem);
    }
}
