// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Layout;
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>
/// The part of a job that goes into one call of move_pages(2), and its results. Kept with the guest, because what it learns
/// about the time that calls take is the guest's: it depends on the kind of memory behind it.
/// </summary>
internal sealed class MoveBatch(INumaCalls calls, TimeSpan callTimeLimit)
{
    // First batches, before anything was measured: 1 MiB of pages, 8 MiB of blocks. The smallest take far less than
    // the limit on any machine that has a CPU to spare: 256 KiB of pages, one block.
    private readonly BatchSizer _pages = new(callTimeLimit, first: 256, fewest: 64);
    private readonly BatchSizer _blocks = new(callTimeLimit, first: 4, fewest: 1);
    private readonly MovePagesCall _call = new(calls);
    private ulong[] _addresses = [];
    private AddressResult[] _results = [];
    private int _count;
    private int _pagesEach;

    public long Bytes => (long)_count * _pagesEach * PageSizes.PageBytes;

    /// <summary>What became of each run that was taken.</summary>
    public ReadOnlySpan<AddressResult> Results => _results.AsSpan(0, _count);

    /// <summary>CPU time that the call took.</summary>
    public TimeSpan CpuTime => _call.CpuTime;

    private BatchSizer Sizer => _pagesEach == 1 ? _pages : _blocks;

    /// <summary>Takes the job's next runs of one size: at least one, and no more than fit the time limit and
    /// <paramref name="mostBytes"/>.</summary>
    public void Take(MoveJob job, long mostBytes)
    {
        ReadOnlySpan<PageRun> runs = job.Runs;
        ReadOnlySpan<int> todo = job.Todo;
        _pagesEach = runs[todo[0]].Count;
        int most = (int)Math.Clamp(mostBytes / (_pagesEach * (long)PageSizes.PageBytes), 1, Math.Min(Sizer.Next, todo.Length));
        if (_addresses.Length < most)
        {
            _addresses = new ulong[most];
            _results = new AddressResult[most];
        }

        BackedRange range = default;
        for (_count = 0; _count < most && runs[todo[_count]].Count == _pagesEach; _count++)
        {
            int index = runs[todo[_count]].First;
            if (!range.Contains(index))
                range = job.Target.Layout.BackedAt(index);
            _addresses[_count] = range.HvaOf(index);
        }

        _results.AsSpan(0, _count).Clear();
    }

    /// <summary>Calls the kernel.</summary>
    public CallError Run(int pid, int node, MoveScope scope, TimeProvider time, MoveCounters counters)
    {
        CallError error = _call.Run(pid, _addresses.AsSpan(0, _count), node, scope, _results.AsSpan(0, _count), time);
        counters.AddCall(_call.Time, _call.CpuTime, _pagesEach > 1);
        if (error == CallError.None)
            Sizer.Learn(_count, _call.Time);
        return error;
    }
}
