// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using VirtTier.Linux;
using VirtTier.Primitives;
using static Tmds.Linux.LibC;

namespace VirtTier.Memory.Splitting;

/// <summary>The running kernel, by process_madvise(2). Needs CAP_SYS_NICE, CAP_SYS_PTRACE and CAP_SYS_ADMIN.</summary>
/// <remarks>
/// <para>MADV_COLD of a part of a 2 MiB page splits it (mm/madvise.c, madvise_cold_or_pageout_pte_range); MADV_COLLAPSE joins.
/// Both do so for anonymous memory and memfd, from Linux 6.1 on, whatever transparent_hugepage says.</para>
/// <para>MADV_COLD succeeds also where nothing was split. So the page's frame is looked up afterwards, and whether the kernel
/// holds it for a part of a huge page (/proc/kpageflags).</para>
/// <para>A memfd's pages are mapped by nobody once they are split, so each is mapped again, by a look at one byte of it.</para>
/// </remarks>
public sealed class LinuxHugePages(string procfs = "/proc") : IHugePages
{
    private const int MADV_COLD = 20;
    private const int MADV_COLLAPSE = 25;

    private const ulong PageBytes = PageSizes.PageBytes;
    private const ulong BlockBytes = PageBytes * PageSizes.BlockPages;

    // Documentation/admin-guide/mm/pagemap.rst.
    private const ulong PagePresent = 1UL << 63;
    private const ulong FileOrShared = 1UL << 61;
    private const ulong FrameMask = (1UL << 55) - 1;
    private const ulong KpfLarge = (1UL << 15) | (1UL << 16); // COMPOUND_HEAD, COMPOUND_TAIL
    private const ulong KpfHuge = 1UL << 17;
    private const ulong KpfUnevictable = 1UL << 18;

    /// <inheritdoc/>
    public void Split(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes) =>
        Run(pid, blocks, outcomes, SplitOne);

    /// <inheritdoc/>
    public void Join(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes) =>
        Run(pid, blocks, outcomes, JoinOne);

    private void Run(
        int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes, Func<Files, ulong, SplitOutcome> one)
    {
        if (outcomes.Length != blocks.Length)
            throw new ArgumentException($"{outcomes.Length} outcomes for {blocks.Length} blocks: there must be one for each",
                nameof(outcomes));
        using Files files = Files.Open(procfs, pid, out SplitOutcome opened);
        for (int i = 0; i < blocks.Length; i++)
        {
            outcomes[i] = blocks[i] % BlockBytes != 0 ? SplitOutcome.Refused
                : opened == SplitOutcome.Done ? one(files, blocks[i])
                : opened;
        }
    }

    private static SplitOutcome SplitOne(Files files, ulong block)
    {
        // One page of it: advised as a whole it would be made cold in one piece. The last one is the least likely to be in use.
        Span<ulong> entries = stackalloc ulong[PageSizes.BlockPages];
        files.ReadEntries(block, entries);
        if (!entries.ContainsAnyExcept(0UL))
            return SplitOutcome.Gone;
        int page = PageSizes.BlockPages - 1;
        while (page >= 0 && (entries[page] == 0 || (files.FlagsOf(entries[page] & FrameMask) & KpfLarge) == 0))
            page--;
        if (page < 0)
            return SplitOutcome.Done;
        ulong entry = entries[page];
        ulong frame = entry & FrameMask;
        // Older kernels tell most of them for the first of a large page's frames alone.
        ulong flags = files.FlagsOf(frame - (frame % PageSizes.BlockPages));
        if ((flags & KpfHuge) != 0)
            return SplitOutcome.Hugetlb;
        // Before it is tried: what is of a file is mapped by nobody afterwards.
        bool isShared = files.MappingsOf(frame) > 1;
        long result = Libc.ProcessMadvise(files.Process, block + ((ulong)page * PageBytes), PageBytes, MADV_COLD);
        if (result < 0)
        {
            return -result switch
            {
                Errno.ESRCH or Errno.ENOMEM => SplitOutcome.Gone,
                Errno.EINVAL => SplitOutcome.Locked, // hugetlb is answered above
                _ => SplitOutcome.Refused,
            };
        }
        // Pages of a file are left to be mapped at their next access, and pages that are not mapped cannot be found or moved.
        if ((entry & FileOrShared) != 0)
            files.MapEachPage(block);
        // The kernel splits in place.
        return (files.FlagsOf(frame) & KpfLarge) == 0 ? SplitOutcome.Done
            : isShared ? SplitOutcome.Shared
            : (flags & KpfUnevictable) != 0 ? SplitOutcome.Locked
            : SplitOutcome.Pinned;
    }

    private static SplitOutcome JoinOne(Files files, ulong block)
    {
        if (files.EntryOf(block) is > 0 and ulong entry && (files.FlagsOf(entry & FrameMask) & KpfHuge) != 0)
            return SplitOutcome.Hugetlb;
        long result = Libc.ProcessMadvise(files.Process, block, BlockBytes, MADV_COLLAPSE);
        return -result switch
        {
            <= 0 => SplitOutcome.Done,
            Errno.ENOMEM => SplitOutcome.NoRoom,
            Errno.EAGAIN or Errno.EBUSY => SplitOutcome.Pinned,
            Errno.ESRCH => SplitOutcome.Gone,
            _ => SplitOutcome.Refused,
        };
    }

    // What is asked about one process, open for as long as one run takes.
    private sealed class Files : IDisposable
    {
        private readonly int _pid;
        private readonly SafeFileHandle _process;
        private readonly SafeFileHandle _pagemap;
        private readonly SafeFileHandle _flags;
        private readonly SafeFileHandle _counts;

        private Files(int pid, SafeFileHandle process, SafeFileHandle pagemap, SafeFileHandle flags, SafeFileHandle counts) =>
            (_pid, _process, _pagemap, _flags, _counts) = (pid, process, pagemap, flags, counts);

        public int Process => (int)_process.DangerousGetHandle();

        public static Files Open(string procfs, int pid, out SplitOutcome outcome)
        {
            int pidfd = Libc.PidfdOpen(pid);
            SafeFileHandle process = new(pidfd < 0 ? -1 : pidfd, ownsHandle: true);
            SafeFileHandle pagemap = Libc.Open(
                Path.Combine(procfs, pid.ToString(CultureInfo.InvariantCulture), "pagemap"), O_RDONLY, out int errno);
            SafeFileHandle flags = Libc.Open(Path.Combine(procfs, "kpageflags"), O_RDONLY, out _);
            SafeFileHandle counts = Libc.Open(Path.Combine(procfs, "kpagecount"), O_RDONLY, out _);
            outcome = pidfd == -Errno.ESRCH || errno is Errno.ENOENT or Errno.ESRCH ? SplitOutcome.Gone
                : process.IsInvalid || pagemap.IsInvalid || flags.IsInvalid || counts.IsInvalid ? SplitOutcome.Refused
                : SplitOutcome.Done;
            return new Files(pid, process, pagemap, flags, counts);
        }

        // 0 if nothing is there, or nothing that may be known.
        public ulong EntryOf(ulong address)
        {
            ulong entry = 0;
            ReadEntries(address, new Span<ulong>(ref entry));
            return entry;
        }

        // Those of the pages from an address on.
        public void ReadEntries(ulong address, Span<ulong> entries)
        {
            Read(_pagemap, address / PageBytes, entries);
            foreach (ref ulong entry in entries)
            {
                if ((entry & PagePresent) == 0 || (entry & FrameMask) == 0)
                    entry = 0;
            }
        }

        // A look at a page by way of its process maps it there. What was read is not looked at.
        public void MapEachPage(ulong block)
        {
            Span<byte> bytes = stackalloc byte[PageSizes.BlockPages];
            _ = Libc.ReadByteOfEachPage(_pid, block, bytes, PageSizes.PageBytes);
        }

        public ulong FlagsOf(ulong frame) => Read(_flags, frame);

        public ulong MappingsOf(ulong frame) => Read(_counts, frame);

        public void Dispose()
        {
            _process.Dispose();
            _pagemap.Dispose();
            _flags.Dispose();
            _counts.Dispose();
        }

        private static ulong Read(SafeFileHandle file, ulong index)
        {
            ulong value = 0;
            Read(file, index, new Span<ulong>(ref value));
            return value;
        }

        private static void Read(SafeFileHandle file, ulong index, Span<ulong> values)
        {
            Span<byte> bytes = MemoryMarshal.AsBytes(values);
            if (Libc.Pread(file, bytes, (long)(index * sizeof(ulong))) != bytes.Length)
                values.Clear();
        }
    }
}
