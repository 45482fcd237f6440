// SPDX-License-Identifier: Apache-2.0
using VirtTier.Linux;
using VirtTier.Memory.Layout;
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>
/// The part of a job that goes into one call of move_pages(2), and its results made sense of. Kept with the guest, because what
/// it learns about the time that calls take is the guest's: it depends on the kind of memory behind it.
/// </summary>
/// <remarks>
/// The call's own answer is not enough:
/// <para>It works through the addresses in chunks, ending a chunk at each page that it does not have to move or cannot
/// isolate (whose status it writes). If a page of a chunk fails to migrate, the call stops there: the result is the number of
/// pages not moved, those never tried included, and the statuses of that chunk and of all later pages are not written.</para>
/// <para>-ENOMEM stops it in the same way, with no status written for the failing chunk, although part of it has moved.</para>
/// <para>-EBUSY is also the status of the second address within a 2 MiB page that is just about to be moved.</para>
/// <para>So: statuses start with a value that the kernel never writes, and unless every page is reported on the wanted
/// node, the call without nodes tells where the others are (do_pages_move in mm/migrate.c, Linux 6.1 to 6.12).</para>
/// </remarks>
internal sealed class MoveBatch(INumaCalls calls, TimeSpan callTimeLimit)
{
    // Neither a node nor an errno.
    private const int Unwritten = int.MinValue;

    // First batches, before anything was measured: 1 MiB of pages, 8 MiB of blocks. The smallest take far less than
    // the limit on any machine that has a CPU to spare: 256 KiB of pages, one block.
    private readonly BatchSizer _pages = new(callTimeLimit, first: 256, fewest: 64);
    private readonly BatchSizer _blocks = new(callTimeLimit, first: 4, fewest: 1);
    private ulong[] _addresses = [];
    private int[] _status = [];
    private AddressResult[] _results = [];
    private int[] _asked = []; // of looking again: which address, where it is, and the answer
    private ulong[] _askedAddresses = [];
    private int[] _answers = [];
    private int _count;
    private int _pagesEach;

    public long Bytes => (long)_count * _pagesEach * PageSizes.PageBytes;

    /// <summary>What became of each run that was taken.</summary>
    public ReadOnlySpan<AddressResult> Results => _results.AsSpan(0, _count);

    /// <summary>CPU time that the call took: what of its time was work, and not waiting for a CPU.</summary>
    public TimeSpan CpuTime { get; private set; }

    private BatchSizer Sizer => _pagesEach == 1 ? _pages : _blocks;

    private ReadOnlySpan<ulong> Addresses => _addresses.AsSpan(0, _count);

    /// <summary>Takes the job's next runs of one size: at least one, and no more than fit the time limit and
    /// <paramref name="mostBytes"/>.</summary>
    public void Take(MoveJob job, long mostBytes)
    {
        ReadOnlySpan<PageRun> runs = job.Runs;
        ReadOnlySpan<int> todo = job.Todo;
        _pagesEach = runs[todo[0]].Count;
        int most = (int)Math.Clamp(mostBytes / (_pagesEach * (long)PageSizes.PageBytes), 1, Math.Min(Sizer.Next, todo.Length));
        Reserve(most);

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

    /// <summary>Calls the kernel, and sorts every address. Those from the first that was not tried
    /// are to be passed again.</summary>
    public CallError Run(int pid, int node, MoveScope scope, TimeProvider time, MoveCounters counters)
    {
        Span<int> status = _status.AsSpan(0, _count);
        status.Fill(Unwritten);
        TimeSpan cpu = calls.ThreadTime();
        long started = time.GetTimestamp();
        int result = calls.MovePages(pid, Addresses, node, status, scope);
        TimeSpan taken = time.GetElapsedTime(started);
        CpuTime = calls.ThreadTime() - cpu;
        counters.AddCall(taken, CpuTime, _pagesEach > 1);

        CallError error = Sort(result, status, pid, node);
        if (error == CallError.None)
            Sizer.Learn(_count, taken);
        return error;
    }

    private void Reserve(int count)
    {
        if (_addresses.Length >= count)
            return;
        _addresses = new ulong[count];
        _status = new int[count];
        _results = new AddressResult[count];
        _asked = new int[count];
        _askedAddresses = new ulong[count];
        _answers = new int[count];
    }

    private CallError Sort(int result, ReadOnlySpan<int> status, int pid, int node)
    {
        CallError error = result >= 0 ? CallError.None : ErrorOf(-result, pid, node);
        if (error is not (CallError.None or CallError.TargetFull))
            return error;

        Span<AddressResult> results = _results.AsSpan(0, _count);
        if (!status.ContainsAnyExcept(node))
        {
            results.Fill(AddressResult.Moved);
            return error;
        }

        int tried = result >= 0 || result == -Errno.EINTR ? TriedCount(status) : 0;
        for (int i = 0; i < status.Length; i++)
        {
            results[i] = status[i] switch
            {
                _ when status[i] == node => AddressResult.Moved,
                -Errno.ENOENT or -Errno.EFAULT => AddressResult.Absent,
                -Errno.EACCES => AddressResult.Shared,
                Unwritten when i >= tried => AddressResult.NotTried,
                _ => AddressResult.Busy,
            };
        }

        return LookAgain(results, pid, node) ?? error;
    }

    /// <summary>
    /// How many addresses, from the first, were tried. An unwritten status before a written one means that the chunk between
    /// them failed and ended the call at the written one. Else the last chunk, if any, failed, and that reaches to the end.
    /// </summary>
    private static int TriedCount(ReadOnlySpan<int> status)
    {
        int lastWritten = status.LastIndexOfAnyExcept(Unwritten);
        return lastWritten >= 0 && status[..lastWritten].Contains(Unwritten) ? lastWritten + 1 : status.Length;
    }

    /// <summary>Asks where the pages are that did not report the wanted node.</summary>
    private CallError? LookAgain(Span<AddressResult> results, int pid, int node)
    {
        int count = 0;
        for (int i = 0; i < results.Length; i++)
        {
            if (results[i] is AddressResult.Moved or AddressResult.Absent)
                continue;
            _asked[count] = i;
            _askedAddresses[count++] = _addresses[i];
        }

        if (count == 0)
            return null;
        int result = calls.QueryPages(pid, _askedAddresses.AsSpan(0, count), _answers.AsSpan(0, count));
        if (result < 0)
            return ErrorOf(-result, pid, node);
        for (int k = 0; k < count; k++)
        {
            if (_answers[k] == node)
                results[_asked[k]] = AddressResult.Moved;
            else if (_answers[k] is -Errno.ENOENT or -Errno.EFAULT)
                results[_asked[k]] = AddressResult.Absent;
        }

        return null;
    }

    private CallError ErrorOf(int errno, int pid, int node) => errno switch
    {
        Errno.EINTR => CallError.None,
        Errno.ENOMEM => calls.CheckNode(0, node) is null ? CallError.TargetFull : CallError.CallerCpuset,
        Errno.EACCES => CallError.TargetCpuset,

        // -EINVAL: the process is there, but its memory is gone already. (Bad flags give it too, but ours are not.)
        Errno.ESRCH or Errno.EINVAL => CallError.ProcessGone,
        Errno.EPERM => CallError.NoPermission,
        Errno.ENODEV => CallError.NoSuchNode,
        _ => throw new GuestMemoryException(
            GuestMemoryError.Failed, $"move_pages to node {node} failed for process {pid} ({Errno.Describe(errno)})"),
    };
}

/// <summary>An error that ends the work for all pages that are left.</summary>
internal enum CallError
{
    None,
    TargetFull,
    TargetCpuset,
    CallerCpuset,
    ProcessGone,
    NoPermission,
    NoSuchNode,
}

/// <summary>What one call of move_pages(2) did to one address.</summary>
internal enum AddressResult : byte
{
    NotTried,
    Moved,
    Busy,
    Shared,
    Absent,
}
