// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Traces;

/// <summary>The workloads that VirtTier is tuned and judged on: what guests do, one habit at a time.</summary>
public static class TraceFamilies
{
    /// <summary>Every family, those without gain last.</summary>
    public static IReadOnlyList<TraceFamily> All { get; } =
    [
        new("zipf", "a cache: few pages popular, many rare, for ever the same", CanGain: true, Zipf),
        new("shift", "a hot set that moves on by half every fifth of the time", CanGain: true, Shift),
        new("phases", "a program in phases, some of which come back", CanGain: true, Phases),
        new("stream", "fresh data streamed past a steady core", CanGain: true, Stream),
        new("growing", "a heap that grows, the young part the busiest", CanGain: true, Growing),
        new("bursts", "forty services that wake and sleep", CanGain: true, Bursts),
        new("scanned", "a popular core under a scan of everything else", CanGain: true, Scanned),
        new("turns", "day and night work taking turns", CanGain: true, DayAndNight),
        new("scan", "one sweep after another over all memory", CanGain: false, Scan),
        new("loop", "a loop over twice the fast memory", CanGain: false, Loop),
        new("uniform", "any page as likely as any other", CanGain: false, Uniform),
    ];

    private static IEnumerable<int> Zipf(Random random, int accesses)
    {
        ZipfSampler popular = new(30_000, 0.9, random);
        for (int i = 0; i < accesses; i++)
            yield return popular.Next();
    }

    private static IEnumerable<int> Shift(Random random, int accesses)
    {
        const int all = 30_000;
        const int hot = 4_500;
        ZipfSampler rank = new(hot, 0.5, random);
        for (int i = 0; i < accesses; i++)
        {
            int start = (int)(5L * i / accesses) * (hot / 2);
            yield return random.NextDouble() < 0.85 ? (start + rank.Next()) % all : random.Next(all);
        }
    }

    private static IEnumerable<int> Phases(Random random, int accesses)
    {
        const int shared = 1_500;
        const int own = 3_000;
        const int all = shared + (3 * own);
        int[] order = [0, 1, 0, 2, 1];
        ZipfSampler inShared = new(shared, 0.8, random);
        ZipfSampler inOwn = new(own, 0.6, random);
        for (int i = 0; i < accesses; i++)
        {
            int phase = order[(int)((long)order.Length * i / accesses)];
            double what = random.NextDouble();
            if (what < 0.15)
                yield return random.Next(all);
            else if (what < 0.4)
                yield return inShared.Next();
            else
                yield return shared + (phase * own) + inOwn.Next();
        }
    }

    private static IEnumerable<int> Stream(Random random, int accesses)
    {
        const int core = 4_000;
        const int accessesPerFreshPage = 24;
        const int window = 64;
        ZipfSampler inCore = new(core, 0.7, random);
        int streamed = 0;
        for (int i = 0; i < accesses; i++)
        {
            if (random.NextDouble() < 0.6)
                yield return inCore.Next();
            else
                yield return core + (streamed++ / accessesPerFreshPage) + random.Next(window);
        }
    }

    private static IEnumerable<int> Growing(Random random, int accesses)
    {
        const int all = 30_000;
        const int root = 600;
        for (int i = 0; i < accesses; i++)
        {
            int size = root + (int)((long)(all - root) * i / accesses);
            double what = random.NextDouble();
            if (what < 0.2)
                yield return random.Next(root);
            else if (what < 0.85)
                yield return Math.Max(0, size - 1 - (int)(-Math.Log(1 - random.NextDouble()) * 1_500));
            else
                yield return random.Next(size);
        }
    }

    private static IEnumerable<int> Bursts(Random random, int accesses)
    {
        const int services = 40;
        const int pagesEach = 700;
        const int baseline = 1_000;
        ZipfSampler inService = new(pagesEach, 0.6, random);
        List<int> awake = [0, 1, 2, 3, 4];
        for (int i = 0; i < accesses; i++)
        {
            // About sixty changes of the guard in the whole trace.
            if (random.NextDouble() < 60.0 / accesses)
                awake[random.Next(awake.Count)] = random.Next(services);
            double what = random.NextDouble();
            if (what < 0.15)
                yield return random.Next(baseline);
            else if (what < 0.3)
                yield return random.Next(baseline + (services * pagesEach));
            else
                yield return baseline + (awake[random.Next(awake.Count)] * pagesEach) + inService.Next();
        }
    }

    private static IEnumerable<int> Scanned(Random random, int accesses)
    {
        const int core = 5_000;
        const int rest = 25_000;
        const int accessesPerPage = 8;
        ZipfSampler inCore = new(core, 0.8, random);
        int scanned = 0;
        for (int i = 0; i < accesses; i++)
            yield return random.NextDouble() < 0.65 ? inCore.Next() : core + (scanned++ / accessesPerPage % rest);
    }

    private static IEnumerable<int> DayAndNight(Random random, int accesses)
    {
        const int each = 5_000;
        const int other = 20_000;
        ZipfSampler rank = new(each, 0.8, random);
        for (int i = 0; i < accesses; i++)
        {
            int half = (int)(6L * i / accesses) % 2;
            yield return random.NextDouble() < 0.85 ? (half * each) + rank.Next() : (2 * each) + random.Next(other);
        }
    }

    private static IEnumerable<int> Scan(Random random, int accesses)
    {
        const int all = 20_000;
        const int sweeps = 10;
        for (int i = 0; i < accesses; i++)
            yield return (int)((long)sweeps * all * i / accesses % all);
    }

    private static IEnumerable<int> Loop(Random random, int accesses)
    {
        const int all = 20_000;
        const int looped = 8_000;
        const int accessesPerPage = 8;
        for (int i = 0; i < accesses; i++)
            yield return i < all ? i : i / accessesPerPage % looped;
    }

    private static IEnumerable<int> Uniform(Random random, int accesses)
    {
        for (int i = 0; i < accesses; i++)
            yield return random.Next(30_000);
    }
}
