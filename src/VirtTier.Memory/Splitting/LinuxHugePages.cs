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
        ulong entry = files.EntryOf(block);
        if (entry == 0)
            return SplitOutcome.Gone;
        ulong frame = entry & FrameMask;
        ulong flags = files.FlagsOf(frame);
        if ((flags & KpfLarge) == 0)
            return SplitOutcome.Done;
        if ((flags & KpfHuge) != 0)
            return SplitOutcome.Hugetlb;
        // Before it is tried: what is of a file is mapped by nobody afterwards.
        bool isShared = files.MappingsOf(frame) > 1;
        // Of a single page: advised as a whole it would be made cold in one piece. The last one is the least likely to be in use.
        long result = Libc.ProcessMadvise(files.Process, block + BlockBytes - PageBytes, PageBytes, MADV_COLD);
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
            ulong entry = Read(_pagemap, address / PageBytes);
            return (entry & PagePresent) == 0 || (entry & FrameMask) == 0 ? 0 : entry;
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
            Span<byte> bytes = MemoryMarshal.AsBytes(new Span<ulong>(ref value));
            return Libc.Pread(file, bytes, (long)(index * sizeof(ulong))) == bytes.Length ? value : 0;
        }
    }
}
