// SPDX-License-Identifier: Apache-2.0
using BenchmarkDotNet.Attributes;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Primitives;

namespace VirtTier.Microbench;

/// <summary>The mover's own work for 16 Ki single pages, to and fro between two nodes: the kernel's is left out.</summary>
public class MoverBench
{
    private const int Pages = 1 << 14;

    private readonly PageMover _mover = new(new InstantMoves(), new PageMoverOptions(), TimeProvider.System);
    private readonly MoveTarget _target;
    private readonly PageRun[] _runs = [.. Enumerable.Range(0, Pages).Select(page => new PageRun(page, 1))];
    private int _node;

    public MoverBench()
    {
        _target = _mover.Target(1, GuestLayout.FromMemslots([new Memslot(0, 1UL << 40, Pages)]));
        _target.Rate.PerSecond = _target.Work.PerSecond = 0;
    }

    // A report has one byte for every run that was asked for: what became of it.
    [Benchmark]
    [BytesPerPage(Pages, 1.1)]
    public async Task<long> Move()
    {
        _node = 1 - _node;
        MoveReport report = await _mover.MoveAsync(_target, _runs, _node, CancellationToken.None);
        return report.Moved == Pages
            ? report.Moved
            : throw new InvalidOperationException($"{report.Moved} of {Pages} pages moved");
    }

    /// <summary>A kernel whose every move succeeds in no time.</summary>
    private sealed class InstantMoves : INumaCalls
    {
        public int MovePages(int pid, ReadOnlySpan<ulong> addresses, int node, Span<int> status, MoveScope scope)
        {
            status[..addresses.Length].Fill(node);
            return 0;
        }

        public int QueryPages(int pid, ReadOnlySpan<ulong> addresses, Span<int> status) => throw new NotSupportedException();

        public ForbiddenNode? CheckNode(int pid, int node) => null;

        public IReadOnlyList<MemoryBinding> ReadBindings(int pid) => [];

        public TimeSpan ThreadTime() => TimeSpan.Zero;

        public long FreeBytes(int node) => long.MaxValue;
    }
}
