// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using VirtTier.Primitives;
using VirtTier.Tiering.Planning;

namespace VirtTier.Bench;

/// <summary>
/// One round over 64 Mi pages (256 GiB of guest memory in 4 KiB pages, a fiftieth of it in use), as bytes of the arrays that
/// it must read a second, against what one core reads from memory in the same run; and a round of a guest so small that only what
/// every round costs is left, as bytes that the core would have read from its own cache meanwhile: such a round does not touch
/// memory, so that how fast that is says nothing of it.
/// </summary>
internal static class ThroughputBench
{
    private const int Pages = 64 << 20;
    private const int Harvests = 4;
    private const int Rounds = 15;
    private const int SmallPages = 512;
    // Some ten times of what the JIT takes to compile the planner anew once it has seen what is called often.
    private const int SmallRounds = 8000;

    public static void Run(BarTable bars)
    {
        // First, so that all that follows is measured on code as it is after a minute of work.
        double smallSeconds = SecondsOfSmallRound();
        double cached = ReadRateOfCache();
        PlacementPlanner planner = new(Pages);
        MovePlan plan = new();
        byte[] residency = new byte[Pages];
        Array.Fill(residency, Residency.Slow);
        MappingSize[] sizes = new MappingSize[Pages / 512];
        Array.Fill(sizes, MappingSize.Size4K);
        ulong[] accessed = new ulong[Pages / 64];
        for (int word = 0; word < accessed.Length; word += 50)
            accessed[word] = ulong.MaxValue;
        PlayRound(planner, plan, residency, sizes, accessed);

        // Rounds and plain reads take turns, and the best of each counts: other work on the machine disturbs both alike.
        ulong[] plain = new ulong[(256 << 20) / sizeof(ulong)];
        Array.Fill(plain, 1UL);
        double seconds = double.PositiveInfinity;
        double bandwidth = 0;
        long allocated = 0;
        for (int round = 0; round < Rounds; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            long start = Stopwatch.GetTimestamp();
            PlayRound(planner, plan, residency, sizes, accessed);
            seconds = Math.Min(seconds, Stopwatch.GetElapsedTime(start).TotalSeconds);
            allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            bandwidth = Math.Max(bandwidth, ReadRate(plain, times: 1));
        }

        // A round reads the bitmap once a harvest, and residency and the two bytes of history once.
        double bytes = (Harvests * Pages / 8.0) + (3.0 * Pages);
        double reached = bytes / seconds;
        Console.WriteLine();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"64 Mi pages: {seconds:F3} s a round, {reached / 1e9:F2} GB/s of {bandwidth / 1e9:F2} GB/s; "
                + $"{allocated} bytes allocated a round"));
        bars.AtLeast("round over 64 Mi pages, of one core's read bandwidth", reached / bandwidth, 0.5);
        bars.AtMost("bytes allocated a page", (double)allocated / Pages, 0.001);

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{SmallPages} pages: {smallSeconds * 1e3:F3} ms a round; {cached / 1e9:F0} GB/s from the cache"));
        bars.AtMost(
            "round of a small guest, in MiB that one core reads from its cache meanwhile", smallSeconds * cached / (1 << 20), 8);
    }

    // A guest in whose every round some pages idle, some return and some are in use, so that many states have pages. The best of
    // its rounds: others are disturbed by what else runs.
    private static double SecondsOfSmallRound()
    {
        PlacementPlanner planner = new(SmallPages) { DecisionSpacing = 1.0 / Harvests };
        MovePlan plan = new();
        Random random = new(1);
        byte[] residency = new byte[SmallPages];
        Array.Fill(residency, Residency.Slow);
        MappingSize[] sizes = new MappingSize[SmallPages / PageSizes.BlockPages];
        Array.Fill(sizes, MappingSize.Size4K);
        ulong[] accessed = new ulong[SmallPages / 64];
        double[] seconds = new double[SmallRounds];
        for (int round = 0; round < SmallRounds; round++)
        {
            for (int harvest = 0; harvest < Harvests; harvest++)
            {
                Array.Clear(accessed);
                for (int access = 0; access < SmallPages / 8; access++)
                {
                    int page = (int)(SmallPages * Math.Pow(random.NextDouble(), 4));
                    accessed[page / 64] |= 1UL << (page % 64);
                }
                planner.Observe(accessed, sizes);
            }
            long start = Stopwatch.GetTimestamp();
            planner.EndRound(residency, SmallPages / 5, long.MaxValue, plan);
            _ = planner.Curve(TimeSpan.FromSeconds(1));
            seconds[round] = Stopwatch.GetElapsedTime(start).TotalSeconds;
            foreach (PageRun run in plan.Demotions.Span)
                residency[run.First] = Residency.Slow;
            foreach (PageRun run in plan.Promotions.Span)
                residency[run.First] = Residency.Fast;
        }
        return seconds.Min();
    }

    private static void PlayRound(
        PlacementPlanner planner, MovePlan plan, byte[] residency, MappingSize[] sizes, ulong[] accessed)
    {
        for (int harvest = 0; harvest < Harvests; harvest++)
            planner.Observe(accessed, sizes);
        planner.EndRound(residency, Pages / 5, maxMoves: 50_000, plan);
    }

    // What is read again and again stays in the cache nearest to the core.
    private static double ReadRateOfCache()
    {
        ulong[] few = new ulong[(16 << 10) / sizeof(ulong)];
        Array.Fill(few, 1UL);
        double rate = 0;
        for (int i = 0; i < 400; i++)
            rate = Math.Max(rate, ReadRate(few, times: 1000));
        return rate;
    }

    // Bytes a second of one core that reads and adds up, with vectors as wide as the planner's and from four places at once,
    // as the planner reads several arrays side by side.
    private static double ReadRate(ulong[] array, int times)
    {
        ReadOnlySpan<Vector<ulong>> vectors = MemoryMarshal.Cast<ulong, Vector<ulong>>(array);
        int quarter = vectors.Length / 4;
        long start = Stopwatch.GetTimestamp();
        Vector<ulong> a = Vector<ulong>.Zero, b = a, c = a, d = a;
        for (int time = 0; time < times; time++)
        {
            for (int i = 0; i < quarter; i++)
            {
                a += vectors[i];
                b += vectors[quarter + i];
                c += vectors[(2 * quarter) + i];
                d += vectors[(3 * quarter) + i];
            }
        }
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return Vector.Sum(a + b + c + d) > 0 ? (double)array.Length * sizeof(ulong) * times / seconds : 0;
    }
}
