// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VirtTier.Linux;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Primitives;
using static Tmds.Linux.LibC;

namespace VirtTier.Memory.Pagemap;

/// <summary>
/// On which node is each page of a guest? Reads /proc/PID/pagemap, which is some hundred times faster than to ask move_pages(2)
/// page by page, and asks that only for what pagemap does not tell. Not thread-safe: it keeps its buffers.
/// </summary>
/// <remarks>
/// Absent are pages that the process does not map: never touched, swapped out, under migration at this moment, or (shared
/// RAM) touched by another process only. So is the kernel's zero page, which stands behind anonymous memory that was read
/// but never written: it is one frame for all of them, so there is nothing to move or to count.
/// </remarks>
public sealed class ResidencyReader
{
    // Documentation/admin-guide/mm/pagemap.rst.
    private const ulong PagePresent = 1UL << 63;
    private const ulong FileOrShared = 1UL << 61;
    private const ulong MappedOnce = 1UL << 56;
    private const ulong FrameMask = (1UL << 55) - 1;
    private const ulong KpfAnon = 1UL << 12;
    private const ulong KpfCompoundTail = 1UL << 16;
    private const ulong KpfHuge = 1UL << 17;
    private const ulong KpfZeroPage = 1UL << 24;

    // As many as a call takes a hundred times as long for as for itself, and no more, since each reader has an array of them.
    private const int EntriesPerRead = 8 * 1024;
    private const int PagesPerQuery = 1024;

    private readonly INumaCalls _calls;
    private readonly string _procfs;
    private readonly string _sysfs;
    private readonly ulong[] _entries = new ulong[EntriesPerRead];
    private readonly ulong[] _queryAddresses = new ulong[PagesPerQuery];
    private readonly int[] _queryIndexes = new int[PagesPerQuery];
    private readonly int[] _queryStatus = new int[PagesPerQuery];
    private PfnNodeMap _nodes;
    private bool _nodesReloaded;
    private int _queued;
    private ulong _zeroFrame;

    /// <summary>Makes a reader.</summary>
    public ResidencyReader(INumaCalls calls, string procfs = "/proc", string sysfs = "/sys")
    {
        _calls = calls;
        _procfs = procfs;
        _sysfs = sysfs;
        _nodes = PfnNodeMap.Read(sysfs);
    }

    /// <summary>
    /// Writes the node of each page, or <see cref="Residency.Absent"/>, for the pages <paramref name="firstIndex"/> and following
    /// of the layout.
    /// </summary>
    /// <param name="pid">The process.</param>
    /// <param name="layout">The guest's layout.</param>
    /// <param name="firstIndex">The first page.</param>
    /// <param name="nodes">One element a page.</param>
    /// <param name="hugePages">One element for each block of the layout, where all of it is read; else none. Where one is
    /// <see cref="HugePage.Whole"/>, pages without memory behind them are where the others are: the kernel has memory for
    /// all.</param>
    /// <exception cref="GuestMemoryException">The process has ended, or the right to look at it is missing.</exception>
    public void Read(int pid, GuestLayout layout, int firstIndex, Span<byte> nodes, Span<HugePage> hugePages = default)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentOutOfRangeException.ThrowIfNegative(firstIndex);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(nodes.Length, layout.PageCount - firstIndex, nameof(nodes));
        if (!hugePages.IsEmpty && (nodes.Length, hugePages.Length) != (layout.PageCount, layout.PageCount / PageSizes.BlockPages))
            throw new ArgumentException("There is one for each block of the layout.", nameof(hugePages));
        nodes.Fill(Residency.Absent);
        hugePages.Clear();
        _queued = 0;
        _zeroFrame = 0;
        _nodesReloaded = false;
        using SafeFileHandle pagemap = Open(Path.Combine(_procfs, pid.ToString(CultureInfo.InvariantCulture), "pagemap"), pid);
        using SafeFileHandle kpageflags = Libc.Open(Path.Combine(_procfs, "kpageflags"), O_RDONLY, out _);
        HugePageProbe probe = default;
        int probed = -1; // the block
        foreach (BackedRange range in layout.Backed)
        {
            int end = Math.Min(range.EndIndex, firstIndex + nodes.Length);
            for (int index = Math.Max(range.FirstIndex, firstIndex); index < end;)
            {
                int count = Math.Min(end - index, EntriesPerRead);
                ulong address = range.Hva + ((ulong)(index - range.FirstIndex) * PageSizes.PageBytes);
                ReadEntries(pagemap, pid, address, _entries.AsSpan(0, count));
                for (int i = 0; i < count; i++)
                {
                    byte node = NodeOf(_entries[i], kpageflags);
                    nodes[index + i - firstIndex] = node;
                    if (node == PfnNodeMap.Unknown)
                        Ask(pid, index + i - firstIndex, address + ((ulong)i * PageSizes.PageBytes), nodes);
                    if (hugePages.IsEmpty)
                        continue;
                    int block = (index + i) / PageSizes.BlockPages;
                    if (block != probed)
                    {
                        Tell(probe, probed, hugePages, kpageflags);
                        (probe, probed) = (default, block);
                    }
                    probe.Add((index + i) % PageSizes.BlockPages, node == Residency.Absent ? 0 : _entries[i] & FrameMask);
                }

                index += count;
            }
        }

        Tell(probe, probed, hugePages, kpageflags);
        AnswerQueries(pid, nodes);
        FillHoles(nodes, hugePages);
    }

    /// <summary>Pages on each node: element n of the result is node n, for nodes 0 to <paramref name="highestNode"/>.</summary>
    internal static int[] Count(ReadOnlySpan<byte> nodes, int highestNode)
    {
        Span<int> all = stackalloc int[256];
        all.Clear();
        foreach (byte node in nodes)
            all[node]++;
        return all[..(highestNode + 1)].ToArray();
    }

    private static void Tell(HugePageProbe probe, int block, Span<HugePage> hugePages, SafeFileHandle kpageflags)
    {
        if (probe.FirstFrame == 0)
            return;
        // Pages lie at multiples of their size: one that begins before the middle of these frames and goes on there has them all.
        ulong flags = FlagsOf(probe.FirstFrame + (PageSizes.BlockPages / 2), kpageflags) ?? 0;
        if ((flags & KpfCompoundTail) == 0)
            return;
        if (probe.IsWhole)
            hugePages[block] = HugePage.Whole;
        // The kernel itself splits a file's when a part is given back.
        else if ((flags & (KpfAnon | KpfHuge)) == KpfAnon)
            hugePages[block] = HugePage.Torn;
    }

    private static void FillHoles(Span<byte> nodes, ReadOnlySpan<HugePage> hugePages)
    {
        for (int block = 0; block < hugePages.Length; block++)
        {
            if (hugePages[block] != HugePage.Whole)
                continue;
            Span<byte> pages = nodes.Slice(block * PageSizes.BlockPages, PageSizes.BlockPages);
            if (pages.Contains(Residency.Absent))
                pages.Replace(Residency.Absent, pages[pages.IndexOfAnyExcept(Residency.Absent)]);
        }
    }

    // Null if they are not to be known.
    private static ulong? FlagsOf(ulong frame, SafeFileHandle kpageflags)
    {
        ulong flags = 0;
        bool isRead = !kpageflags.IsInvalid
            && Libc.Pread(kpageflags, MemoryMarshal.AsBytes(new Span<ulong>(ref flags)), (long)(frame * sizeof(ulong)))
                == sizeof(ulong);
        return isRead ? flags : null;
    }

    private byte NodeOf(ulong entry, SafeFileHandle kpageflags)
    {
        if ((entry & PagePresent) == 0)
            return Residency.Absent;
        ulong frame = entry & FrameMask;

        // Frame 0 is never a user's: the kernel hides frames from callers without CAP_SYS_ADMIN.
        if (frame == 0)
            return PfnNodeMap.Unknown;

        // The zero page is neither of a file nor counted as mapped once; few other pages are like that.
        if ((entry & (FileOrShared | MappedOnce)) == 0)
        {
            if (frame == _zeroFrame)
                return Residency.Absent;
            if (FlagsOf(frame, kpageflags) is not ulong flags)
                return PfnNodeMap.Unknown;
            if ((flags & KpfZeroPage) != 0)
            {
                _zeroFrame = frame;
                return Residency.Absent;
            }
        }

        byte node = _nodes.NodeOf(frame);
        if (node == PfnNodeMap.Unknown && !_nodesReloaded)
        {
            // Memory may have been added to the host since the map was read.
            _nodesReloaded = true;
            _nodes = PfnNodeMap.Read(_sysfs);
            node = _nodes.NodeOf(frame);
        }

        return node;
    }

    private void Ask(int pid, int position, ulong address, Span<byte> nodes)
    {
        _queryIndexes[_queued] = position;
        _queryAddresses[_queued++] = address;
        if (_queued == PagesPerQuery)
            AnswerQueries(pid, nodes);
    }

    private void AnswerQueries(int pid, Span<byte> nodes)
    {
        int count = _queued;
        _queued = 0;
        if (count == 0)
            return;
        Span<int> status = _queryStatus.AsSpan(0, count);
        int result = _calls.QueryPages(pid, _queryAddresses.AsSpan(0, count), status);
        if (result < 0)
            throw Failure(pid, -result);
        for (int i = 0; i < count; i++)
            nodes[_queryIndexes[i]] =
                status[i] < 0 ? Residency.Absent : status[i] <= Residency.HighestNode ? (byte)status[i] : Residency.BeyondNodes;
    }

    private static SafeFileHandle Open(string path, int pid)
    {
        SafeFileHandle file = Libc.Open(path, O_RDONLY, out int errno);
        return file.IsInvalid ? throw Failure(pid, errno) : file;
    }

    private static void ReadEntries(SafeFileHandle pagemap, int pid, ulong address, Span<ulong> entries)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(entries);
        long offset = (long)(address / PageSizes.PageBytes * sizeof(ulong));
        while (bytes.Length > 0)
        {
            int read = Libc.Pread(pagemap, bytes, offset);
            if (read == -Errno.EINTR)
                continue;

            // At the end of the process its address space is gone, and the file is empty.
            if (read <= 0)
                throw Failure(pid, read < 0 ? -read : Errno.ESRCH);
            bytes = bytes[read..];
            offset += read;
        }
    }

    private static GuestMemoryException Failure(int pid, int errno) => errno switch
    {
        Errno.ESRCH or Errno.ENOENT or Errno.EINVAL => new(GuestMemoryError.ProcessGone, $"process {pid} has ended"),
        Errno.EACCES or Errno.EPERM => new(
            GuestMemoryError.NoPermission,
            $"no right to see where the pages of process {pid} are: the agent needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"),
        _ => new(GuestMemoryError.Failed, $"cannot see where the pages of process {pid} are ({Errno.Describe(errno)})"),
    };
}
