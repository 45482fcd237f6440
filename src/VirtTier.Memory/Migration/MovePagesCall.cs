// SPDX-License-Identifier: Apache-2.0
using VirtTier.Linux;

namespace VirtTier.Memory.Migration;

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

/// <summary>
/// One call of move_pages(2), with its results made sense of. The call's own answer is not enough:
/// </summary>
/// <remarks>
/// <para>It works through the addresses in chunks, ending a chunk at each page that it does not have to move or cannot
/// isolate (whose status it writes). If a page of a chunk fails to migrate, the call stops there: the result is the number of
/// pages not moved, those never tried included, and the statuses of that chunk and of all later pages are not written.</para>
/// <para>-ENOMEM stops it in the same way, with no status written for the failing chunk, although part of it has moved.</para>
/// <para>-EBUSY is also the status of the second address within a 2 MiB page that is just about to be moved.</para>
/// <para>So: statuses start with a value that the kernel never writes, and unless every page is reported on the wanted
/// node, the call without nodes tells where the others are (do_pages_move in mm/migrate.c, Linux 6.1 to 6.12).</para>
/// </remarks>
internal sealed class MovePagesCall(INumaCalls calls)
{
    // Neither a node nor an errno.
    private const int Unwritten = int.MinValue;

    private int[] _status = [];
    private int[] _asked = [];
    private ulong[] _askedAddresses = [];
    private int[] _answers = [];

    /// <summary>How long the last call of move_pages(2) took, without the looking again.</summary>
    public TimeSpan Time { get; private set; }

    /// <summary>The CPU time of it: what of the time was work, and not waiting for a CPU.</summary>
    public TimeSpan CpuTime { get; private set; }

    /// <summary>Moves, and sorts every address. Addresses from the first that was not tried are to be passed again.</summary>
    public CallError Run(
        int pid, ReadOnlySpan<ulong> addresses, int node, MoveScope scope, Span<AddressResult> results, TimeProvider time)
    {
        if (_status.Length < addresses.Length)
        {
            _status = new int[addresses.Length];
            _asked = new int[addresses.Length];
            _askedAddresses = new ulong[addresses.Length];
            _answers = new int[addresses.Length];
        }

        Span<int> status = _status.AsSpan(0, addresses.Length);
        status.Fill(Unwritten);
        results.Clear();
        TimeSpan cpu = calls.ThreadTime();
        long started = time.GetTimestamp();
        int result = calls.MovePages(pid, addresses, node, status, scope);
        Time = time.GetElapsedTime(started);
        CpuTime = calls.ThreadTime() - cpu;
        CallError error = result >= 0 ? CallError.None : ErrorOf(-result, pid, node);
        if (error is not (CallError.None or CallError.TargetFull))
            return error;

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

        return LookAgain(pid, addresses, node, results) ?? error;
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
    private CallError? LookAgain(int pid, ReadOnlySpan<ulong> addresses, int node, Span<AddressResult> results)
    {
        int count = 0;
        for (int i = 0; i < results.Length; i++)
        {
            if (results[i] is AddressResult.Moved or AddressResult.Absent)
                continue;
            _asked[count] = i;
            _askedAddresses[count++] = addresses[i];
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
