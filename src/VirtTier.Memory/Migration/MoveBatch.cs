// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace VirtTier.Memory;

/// <summary>
/// The part of a job that goes into one call of move_pages(2), and its results. Kept with the guest, because what it learns
/// about the time that calls take is the guest's: it depends on the kind of memory behind it.
/// </summary>
internal sealed class MoveBatch(INumaCalls calls, TimeSpan callTimeLimit)
{
    // First batches, before anything was measured: 1 MiB of small pages, 8 MiB of large ones. The smallest take far less than
    // the limit on any machine that has a CPU to spare: 256 KiB, one large page.
    private readonly BatchSizer _smallPages = new(callTimeLimit, first: 256, fewest: 64);
    private readonly BatchSizer _largePages = new(callTimeLimit, first: 4, fewest: 1);
    private readonly MovePagesCall _call = new(calls);
    private readonly List<MoveItem> _items = [];
    private ulong[] _addresses = [];
    private AddressResult[] _results = [];

    public ReadOnlySpan<MoveItem> Items => CollectionsMarshal.AsSpan(_items);

    public long Bytes => (long)_items.Count * _items[0].Pages * GuestLayout.PageSize;

    public ReadOnlySpan<AddressResult> Results => _results.AsSpan(0, _items.Count);

    /// <summary>CPU time that the call took.</summary>
    public TimeSpan CpuTime => _call.CpuTime;

    private BatchSizer Sizer => _items[0].Pages == 1 ? _smallPages : _largePages;

    /// <summary>Takes the job's next items of one page size: at least one, and no more than fit the time limit and
    /// <paramref name="mostBytes"/>.</summary>
    public void Take(MoveJob job, long mostBytes)
    {
        ReadOnlySpan<MoveItem> todo = job.Todo;
        _items.Clear();
        _items.Add(todo[0]);
        long bytesEach = (long)_items[0].Pages * GuestLayout.PageSize;
        long most = Math.Clamp(mostBytes / bytesEach, 1, Sizer.Next);
        int count = 1;
        while (count < todo.Length && count < most && todo[count].Pages == todo[0].Pages)
            count++;
        _items.AddRange(todo[1..count]);

        if (_addresses.Length < _items.Count)
        {
            _addresses = new ulong[_items.Count];
            _results = new AddressResult[_items.Count];
        }

        for (int i = 0; i < count; i++)
            _addresses[i] = job.Target.Layout.HvaOf(todo[i].Index);
        _results.AsSpan().Clear();
    }

    /// <summary>Calls the kernel.</summary>
    public CallError Run(int pid, int node, MoveScope scope, TimeProvider time, MoveCounters counters)
    {
        CallError error = _call.Run(pid, _addresses.AsSpan(0, _items.Count), node, scope, _results.AsSpan(0, _items.Count), time);
        counters.AddCall(_call.Time, _call.CpuTime, _items[0].IsLarge);
        if (error == CallError.None)
            Sizer.Learn(_items.Count, _call.Time);
        return error;
    }
}
