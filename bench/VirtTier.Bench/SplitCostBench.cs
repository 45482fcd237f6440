// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Memory.Splitting;
using VirtTier.Primitives;
using static Tmds.Linux.LibC;

namespace VirtTier.Bench;

/// <summary>
/// What accesses take longer where 2 MiB pages are split: the same loops over the same hot pages of this process, in blocks that
/// are whole and then split, by turns. Each step of a loop goes to another page by chance, so with enough hot pages each misses
/// the TLB: programs lose less than that.
/// </summary>
/// <remarks>
/// On this machine and this process's own table. In a virtual machine a walk goes through two tables, as a guest's does on a
/// host; the table that is split is then the guest's instead of the host's.
/// </remarks>
internal static unsafe class SplitCostBench
{
    private const int Blocks = 512;
    private const int PageBytes = PageSizes.PageBytes;
    private const int BlockPages = PageSizes.BlockPages;
    private const int LineBytes = 64;
    private const int Lines = 8; // of each hot page
    private const int Turns = 5;
    private const int Parts = 64; // of a loop, each timed by itself
    private const int Steps = 1 << 14; // of a part
    private const int Tries = 10; // somebody may hold on to a page for a moment
    private const int MADV_HUGEPAGE = 14;

    // Beyond a quarter of their pages in use, blocks are not split.
    private static readonly int[] s_hotPages = [1, 4, 16, 64, 128];
    private static readonly string[] s_loops = ["one after the other", "side by side", "eight lines of a page"];

    // Where a loop's result goes, so that it is not left out.
    private static ulong s_sink;

    public static void Run()
    {
        const int blockBytes = BlockPages * PageBytes, bytes = Blocks * blockBytes;
        byte* mapping = (byte*)mmap(null, bytes + blockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapping == MAP_FAILED)
            throw new InvalidOperationException($"{bytes >> 20} MiB of memory could not be had");
        byte* memory = (byte*)(((nuint)mapping + blockBytes - 1) / blockBytes * blockBytes);
        if (madvise(memory, bytes, MADV_HUGEPAGE) != 0)
            throw new InvalidOperationException("this kernel has no transparent huge pages");
        for (int at = 0; at < bytes; at += PageBytes)
            memory[at] = 1;
        ulong[] blocks = [.. Enumerable.Range(0, Blocks).Select(b => (ulong)memory + ((ulong)b * blockBytes))];

        Console.WriteLine($"{Blocks} blocks of 2 MiB; nanoseconds a step in whole blocks, in split ones, and how much longer");
        foreach (int hot in s_hotPages)
        {
            double[,] best = Measure(memory, blocks, hot);
            for (int loop = 0; loop < s_loops.Length; loop++)
            {
                double longer = (best[loop, 1] / best[loop, 0]) - 1;
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{hot,4} hot pages a block, {s_loops[loop],-22} {best[loop, 0],8:F2} {best[loop, 1],8:F2} {longer,7:F3}"));
            }
        }
        _ = munmap(mapping, bytes + blockBytes);
    }

    // The least nanoseconds a step of each loop, whole and split: what else the machine does only adds to them.
    private static double[,] Measure(byte* memory, ulong[] blocks, int hot)
    {
        Random random = new(hot);
        int[] pages = new int[Blocks * hot];
        for (int i = 0; i < pages.Length; i++)
            pages[i] = (i / hot * BlockPages) + (i % hot * (BlockPages / hot)) + random.Next(BlockPages / hot);
        byte* single = Chain(memory, pages, 1, 0, random);
        byte* eight = Chain(memory, pages, Lines, sizeof(long), random);
        ulong chance = 1;
        double[,] best = new double[s_loops.Length, 2];
        for (int turn = 0; turn < Turns; turn++)
        {
            for (int split = 0; split < 2; split++)
            {
                SetSplit(blocks, split == 1);
                for (int part = 0; part < Parts * s_loops.Length; part++)
                {
                    int loop = part / Parts;
                    long start = Stopwatch.GetTimestamp();
                    switch (loop)
                    {
                        case 0: single = Follow(single, Steps); break;
                        case 1: chance = Sum(memory, pages, chance, Steps); break;
                        default: eight = Follow(eight, Steps); break;
                    }
                    double taken = Stopwatch.GetElapsedTime(start).TotalNanoseconds / Steps;
                    if (best[loop, split] == 0 || taken < best[loop, split])
                        best[loop, split] = taken;
                }
            }
        }
        return best;
    }

    // Cells, some of a page in a row, each holding the next one's address, in a circle by chance.
    private static byte* Chain(byte* memory, int[] pages, int inRow, int offset, Random random)
    {
        int[] visits = [.. Enumerable.Range(0, pages.Length * Lines / inRow)];
        random.Shuffle(visits);
        byte* first = null, last = null;
        foreach (int visit in visits)
        {
            for (int k = 0; k < inRow; k++)
            {
                int cell = (visit * inRow) + k;
                int page = pages[cell / Lines];
                // Not neighbours, and not the same lines in each page: those would share sets of caches.
                int line = ((page * 7) + (cell % Lines * 8)) % (PageBytes / LineBytes);
                byte* here = memory + ((nint)page * PageBytes) + (line * LineBytes) + offset;
                if (last == null)
                    first = here;
                else
                    *(byte**)last = here;
                last = here;
            }
        }
        *(byte**)last = first;
        return first;
    }

    // Each address comes from the access before.
    private static byte* Follow(byte* cell, int steps)
    {
        for (int i = 0; i < steps; i++)
            cell = *(byte**)cell;
        return cell;
    }

    // The addresses are known beforehand, so that many accesses are under way at a time.
    private static ulong Sum(byte* memory, int[] pages, ulong chance, int steps)
    {
        ulong sum = 0;
        for (int i = 0; i < steps; i++)
        {
            chance = unchecked((chance * 6364136223846793005) + 1442695040888963407); // Knuth's MMIX
            int page = pages[(int)((chance >> 32) * (ulong)pages.Length >> 32)];
            sum = unchecked(sum + *(ulong*)(memory + ((nint)page * PageBytes) + (nint)((chance >> 20) % 64 * LineBytes)));
        }
        s_sink = sum;
        return chance;
    }

    private static void SetSplit(ulong[] blocks, bool split)
    {
        LinuxHugePages pages = new();
        SplitOutcome[] outcomes = new SplitOutcome[blocks.Length];
        int failed = 0;
        for (int tries = 0; tries < Tries && failed >= 0; tries++)
        {
            if (split)
                pages.Split(Environment.ProcessId, blocks, outcomes);
            else
                pages.Join(Environment.ProcessId, blocks, outcomes);
            failed = outcomes.AsSpan().IndexOfAnyExcept(SplitOutcome.Done);
        }
        if (failed >= 0)
        {
            throw new InvalidOperationException(
                $"block {failed} could not be {(split ? "split" : "joined")} ({outcomes[failed]}): this needs root, Linux 6.1 "
                    + "with CONFIG_TRANSPARENT_HUGEPAGE, and 2 GiB of free memory");
        }
    }
}
