// SPDX-License-Identifier: Apache-2.0
using VirtTier.Replay.Traces;

namespace VirtTier.Bench;

/// <summary>
/// Workloads on which nothing was tuned, of other kinds than <see cref="TraceFamilies"/>: they show whether what was learned
/// there holds elsewhere. Nothing in VirtTier.Tiering may be changed to suit one of them.
/// </summary>
internal static class HeldOutFamilies
{
    /// <summary>Seed of every family: none that anything was tuned with.</summary>
    public const int Seed = 7001;

    /// <summary>Every family with the length of its trace: from a few accesses a page to hundreds.</summary>
    public static IReadOnlyList<(TraceFamily Family, int Accesses)> All { get; } =
    [
        (new("sparse", "a large cache of which a short time was recorded", CanGain: true, Sparse), 150_000),
        (new("working", "phases of unlike length and size, each a loop with a core", CanGain: true, WorkingSets), 900_000),
        (new("chase", "pointers followed through lists, some lists more often", CanGain: true, PointerChase), 800_000),
        (new("stack", "reuse by stack distance: the later, the less likely", CanGain: true, StackDistance), 600_000),
        (new("collector", "a nursery that is filled and swept, survivors, and full collections", CanGain: true, Collector),
            1_000_000),
        (new("boot", "much touched once, then daemons that wake now and then", CanGain: true, Boot), 500_000),
        (new("store", "a key-value store with a log and compactions", CanGain: true, Store), 1_200_000),
        (new("blocks", "a matrix product in blocks", CanGain: true, BlockedProduct), 1_000_000),
        (new("drift", "popularity that drifts slowly and never jumps", CanGain: true, Drift), 700_000),
        (new("merge", "runs written and merged, pass after pass, with an index", CanGain: true, Merge), 600_000),
    ];

    private static IEnumerable<int> Sparse(Random random, int accesses)
    {
        double[] cumulative = Zipf(40_000, 1.0);
        int[] place = Shuffled(40_000, random);
        for (int i = 0; i < accesses; i++)
            yield return place[Draw(cumulative, random)];
    }

    private static IEnumerable<int> WorkingSets(Random random, int accesses)
    {
        const int all = 24_000;
        const int core = 800;
        int left = 0, start = 0, size = 0, at = 0;
        for (int i = 0; i < accesses; i++)
        {
            if (left-- == 0)
            {
                left = random.Next(accesses / 40, accesses / 6);
                size = random.Next(500, 7_000);
                start = core + random.Next(all - core - size);
            }
            double what = random.NextDouble();
            if (what < 0.3)
                yield return random.Next(core);
            else if (what < 0.7)
                yield return start + (at++ / 6 % size);
            else
                yield return start + (int)(size * random.NextDouble() * random.NextDouble());
        }
    }

    private static IEnumerable<int> PointerChase(Random random, int accesses)
    {
        const int all = 18_000;
        const int lists = 60;
        const int nodes = all / lists;
        int[] place = Shuffled(all, random);
        double[] popular = Zipf(lists, 0.9);
        int done = 0;
        while (done < accesses)
        {
            int list = Draw(popular, random);
            for (int node = 0; node < nodes && done < accesses; node++)
            {
                for (int field = 0; field < 3 && done < accesses; field++, done++)
                    yield return place[(list * nodes) + node];
            }
        }
    }

    private static IEnumerable<int> StackDistance(Random random, int accesses)
    {
        // Blocks of pages on a stack of recency: the list is short, so moving one to the front is cheap.
        const int blocks = 1_500;
        const int pagesPerBlock = 16;
        List<int> stack = [.. Enumerable.Range(0, blocks)];
        int done = 0;
        while (done < accesses)
        {
            int depth = Math.Min(blocks - 1, (int)(Math.Pow(1 - random.NextDouble(), -0.7) * 12) - 12);
            int block = stack[depth];
            stack.RemoveAt(depth);
            stack.Insert(0, block);
            for (int access = 0; access < 24 && done < accesses; access++, done++)
                yield return (block * pagesPerBlock) + random.Next(pagesPerBlock);
        }
    }

    private static IEnumerable<int> Collector(Random random, int accesses)
    {
        const int nursery = 2_000;
        const int old = 14_000;
        int fresh = 0, survivors = 200, done = 0;
        while (done < accesses)
        {
            double what = random.NextDouble();
            done++;
            if (what < 0.45)
                yield return fresh++ / 10 % nursery;
            else if (what < 0.8)
                yield return nursery + (int)(survivors * Math.Pow(random.NextDouble(), 2.5));
            else
                yield return nursery + random.Next(survivors);
            if (fresh % (nursery * 10) != 0 || what >= 0.45)
                continue;
            // The nursery is full: a part of it survives, and every eighth time everything old is marked.
            survivors = Math.Min(old, survivors + 250);
            if (fresh / (nursery * 10) % 8 != 0)
                continue;
            for (int page = 0; page < survivors && done < accesses; page++, done++)
                yield return nursery + page;
        }
    }

    private static IEnumerable<int> Boot(Random random, int accesses)
    {
        const int all = 36_000;
        const int kernel = 700;
        int booted = accesses / 5;
        for (int i = 0; i < booted; i++)
        {
            int front = kernel + (int)((long)(all - kernel) * i / booted);
            yield return random.NextDouble() < 0.4
                ? random.Next(kernel)
                : Math.Max(0, front - (int)(200 * random.NextDouble() * random.NextDouble()));
        }
        int[] daemons = [.. Enumerable.Range(0, 25).Select(_ => kernel + random.Next(all - kernel - 400))];
        int awake = 0;
        for (int i = booted; i < accesses; i++)
        {
            if (random.NextDouble() < 120.0 / accesses)
                awake = random.NextDouble() < 0.6 ? random.Next(4) : random.Next(daemons.Length);
            double what = random.NextDouble();
            if (what < 0.35)
                yield return random.Next(kernel);
            else if (what < 0.97)
                yield return daemons[awake] + random.Next(400);
            else
                yield return random.Next(all);
        }
    }

    private static IEnumerable<int> Store(Random random, int accesses)
    {
        const int table = 20_000;
        const int log = 8_000;
        double[] popular = Zipf(table / 4, 0.85);
        int[] place = Shuffled(table / 4, random);
        int written = 0, compacting = -1;
        for (int i = 0; i < accesses; i++)
        {
            if (random.NextDouble() < 5.0 / accesses)
                compacting = 0;
            double what = random.NextDouble();
            if (what < 0.12)
                yield return table + (written++ / 16 % log);
            else if (what < 0.3 && compacting is >= 0 and < table * 3)
                yield return compacting++ / 3;
            else
                yield return (place[Draw(popular, random)] * 4) + random.Next(4);
        }
    }

    private static IEnumerable<int> BlockedProduct(Random random, int accesses)
    {
        // Three matrices of 64 x 64 tiles of one page; blocks of 8 x 8 tiles.
        const int tiles = 64;
        const int block = 8;
        int done = 0;
        while (true)
        {
            for (int bi = 0; bi < tiles; bi += block)
            for (int bj = 0; bj < tiles; bj += block)
            for (int bk = 0; bk < tiles; bk += block)
            for (int i = bi; i < bi + block; i++)
            for (int j = bj; j < bj + block; j++)
            for (int k = bk; k < bk + block; k++)
            {
                yield return (i * tiles) + k;
                yield return (tiles * tiles) + (k * tiles) + j;
                yield return (2 * tiles * tiles) + (i * tiles) + j;
                done += 3;
                if (done + 3 > accesses)
                    yield break;
            }
        }
    }

    private static IEnumerable<int> Drift(Random random, int accesses)
    {
        const int all = 25_000;
        double[] popular = Zipf(all, 0.95);
        int[] place = Shuffled(all, random);
        for (int i = 0; i < accesses; i++)
        {
            // About every page changes places with another once in the trace.
            if (random.NextDouble() < (double)all / accesses)
            {
                int one = random.Next(all), other = random.Next(all);
                (place[one], place[other]) = (place[other], place[one]);
            }
            yield return place[Draw(popular, random)];
        }
    }

    private static IEnumerable<int> Merge(Random random, int accesses)
    {
        const int data = 9_000;
        const int index = 500;
        const int passes = 5;
        const int ways = 8;
        for (int i = 0; i < accesses; i++)
        {
            int pass = (int)((long)passes * i / accesses);
            double done = ((double)passes * i / accesses) - pass;
            int from = index + (pass % 2 * data);
            int to = index + ((pass + 1) % 2 * data);
            double what = random.NextDouble();
            if (what < 0.25)
                yield return random.Next(index);
            else if (what < 0.65)
                yield return from + (random.Next(ways) * (data / ways)) + (int)(done * (data / ways));
            else
                yield return to + (int)(done * data);
        }
    }

    private static double[] Zipf(int count, double exponent)
    {
        double[] cumulative = new double[count];
        double sum = 0;
        for (int rank = 0; rank < count; rank++)
            cumulative[rank] = sum += Math.Pow(rank + 1, -exponent);
        return cumulative;
    }

    private static int Draw(double[] cumulative, Random random)
    {
        int rank = Array.BinarySearch(cumulative, random.NextDouble() * cumulative[^1]);
        return rank < 0 ? ~rank : rank;
    }

    private static int[] Shuffled(int count, Random random)
    {
        int[] places = [.. Enumerable.Range(0, count)];
        random.Shuffle(places);
        return places;
    }
}
