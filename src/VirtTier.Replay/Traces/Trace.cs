// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace VirtTier.Replay.Traces;

/// <summary>What one page received in one slice of a trace.</summary>
/// <param name="Page">Index of the page.</param>
/// <param name="Reads">Data reads.</param>
/// <param name="Writes">Data writes, each as many as it counts for.</param>
/// <param name="Fetches">Instruction fetches.</param>
public readonly record struct PageTouch(int Page, int Reads, int Writes, int Fetches)
{
    /// <summary>Accesses of all kinds.</summary>
    public int Count => Reads + Writes + Fetches;

    /// <summary>The first access after a moment of the slice that was drawn for all pages: what a fault sample sees.
    /// Null if there was none.</summary>
    public SampledAccess? Sample { get; init; }
}

/// <summary>What a fault sample sees.</summary>
/// <param name="Offset">Which of the run's pages was accessed first.</param>
/// <param name="IsWritten">Whether the run is also written after the moment: one that is of writes only sees it.</param>
public readonly record struct SampledAccess(short Offset, bool IsWritten);

/// <summary>
/// A trace cut into rounds, and rounds into harvests: equal slices of its time. Within a slice, pages stand in the order
/// of their first access in it, which is all that the order of accesses matters for.
/// </summary>
public sealed class Trace
{
    private const int SampleSeed = 1;

    private readonly List<PageTouch>[] _slices;
    private readonly Dictionary<ulong, int> _index;

    private Trace(Dictionary<ulong, int> index, int runPages, long accesses, int rounds, int harvests, List<PageTouch>[] slices)
    {
        RunPages = runPages;
        _index = index;
        Pages = index.Count;
        Accesses = accesses;
        Rounds = rounds;
        Harvests = harvests;
        _slices = slices;
    }

    /// <summary>Distinct page runs, numbered 0.. in the order of their addresses.</summary>
    public int Pages { get; }

    /// <summary>Pages that count as one in the trace: 1, or the 512 of a block.</summary>
    internal int RunPages { get; }

    /// <summary>The address of each page run in units of its size, and its number here.</summary>
    internal IReadOnlyDictionary<ulong, int> Runs => _index;

    /// <summary>Accesses in the whole trace, each write as many as it counts for.</summary>
    public long Accesses { get; }

    /// <summary>Rounds that the trace's time is cut into.</summary>
    public int Rounds { get; }

    /// <summary>Slices of a round.</summary>
    public int Harvests { get; }

    /// <summary>Cuts a trace into slices. It is read twice: for its extent, and for its accesses.</summary>
    /// <param name="open">Begins to read the trace; must give the same accesses each time.</param>
    /// <param name="rounds">Rounds, 1 or more.</param>
    /// <param name="harvests">Slices of a round, 1 or more.</param>
    /// <param name="runPages">Pages that count as one: 1, or the 512 of a block.</param>
    /// <param name="writeWeight">Accesses that a write counts as.</param>
    /// <exception cref="InvalidDataException">The trace is empty or malformed, or not the same the second time.</exception>
    public static Trace Load(Func<IEnumerable<TraceAccess>> open, int rounds, int harvests, int runPages = 1, int writeWeight = 1)
    {
        ArgumentNullException.ThrowIfNull(open);
        ArgumentOutOfRangeException.ThrowIfLessThan(rounds, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(harvests, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(runPages, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(writeWeight, 1);

        HashSet<ulong> runs = [];
        long first = long.MaxValue;
        long last = long.MinValue;
        long accesses = 0;
        foreach (TraceAccess access in open())
        {
            runs.Add(access.Gfn / (ulong)runPages);
            first = Math.Min(first, access.TimeNs);
            last = Math.Max(last, access.TimeNs);
            accesses += access.Kind == AccessKind.Write ? writeWeight : 1;
        }
        if (accesses == 0)
            throw new InvalidDataException("The trace holds no access.");

        Dictionary<ulong, int> index = Number(runs);
        List<PageTouch>[] slices = new List<PageTouch>[rounds * harvests];
        for (int i = 0; i < slices.Length; i++)
            slices[i] = [];
        // Where each page stands in the slice that it was last seen in.
        int[] seenIn = new int[index.Count];
        int[] place = new int[index.Count];
        Array.Fill(seenIn, -1);
        Random random = new(SampleSeed);
        double[] moments = [.. slices.Select(_ => random.NextDouble())];
        // Of the sample in that slice: its time, and how many accesses there were at it, which a harvest cannot tell apart.
        long[] sampledAt = new long[index.Count];
        int[] sampledOf = new int[index.Count];
        Int128 extent = (Int128)last - first + 1;
        long left = accesses;
        foreach (TraceAccess access in open())
        {
            left -= access.Kind == AccessKind.Write ? writeWeight : 1;
            if (access.TimeNs < first || access.TimeNs > last || !index.TryGetValue(access.Gfn / (ulong)runPages, out int page))
                throw Changed();
            int slice = (int)(((Int128)access.TimeNs - first) * slices.Length / extent);
            List<PageTouch> touches = slices[slice];
            if (seenIn[page] != slice)
            {
                seenIn[page] = slice;
                place[page] = touches.Count;
                touches.Add(new PageTouch(page, 0, 0, 0));
                sampledAt[page] = long.MaxValue;
            }
            PageTouch touch = touches[place[page]];
            if ((double)((Int128)access.TimeNs - first) * slices.Length / (double)extent >= slice + moments[slice])
            {
                short offset = touch.Sample?.Offset ?? 0;
                if (access.TimeNs <= sampledAt[page])
                {
                    sampledOf[page] = access.TimeNs == sampledAt[page] ? sampledOf[page] + 1 : 1;
                    sampledAt[page] = access.TimeNs;
                    // Of n the last one with a chance of 1/n: so each has the same.
                    if (random.Next(sampledOf[page]) == 0)
                        offset = (short)(access.Gfn % (ulong)runPages);
                }
                bool isWritten = access.Kind == AccessKind.Write || (touch.Sample?.IsWritten ?? false);
                touch = touch with { Sample = new SampledAccess(offset, isWritten) };
            }
            touches[place[page]] = access.Kind switch
            {
                AccessKind.Read => touch with { Reads = touch.Reads + 1 },
                AccessKind.Write => touch with { Writes = touch.Writes + writeWeight },
                _ => touch with { Fetches = touch.Fetches + 1 },
            };
        }
        return left == 0 ? new Trace(index, runPages, accesses, rounds, harvests, slices) : throw Changed();
    }

    private static InvalidDataException Changed() => new("The trace changed while it was read.");

    /// <summary>A size in 4 KiB pages, as long as a guest may have so many.</summary>
    /// <exception cref="InvalidDataException">It may not.</exception>
    internal int FitIntoGuest(long pages) => pages <= Array.MaxLength
        ? (int)pages
        : throw new InvalidDataException(
            $"The trace touches {Pages} runs of {RunPages} pages, which come to a guest of {pages} pages; "
                + $"it may have at most {Array.MaxLength}.");

    /// <summary>The pages touched in one harvest of one round.</summary>
    public ReadOnlySpan<PageTouch> Slice(int round, int harvest) =>
        CollectionsMarshal.AsSpan(_slices[(round * Harvests) + harvest]);

    private static Dictionary<ulong, int> Number(HashSet<ulong> runs)
    {
        ulong[] sorted = [.. runs];
        Array.Sort(sorted);
        Dictionary<ulong, int> index = new(sorted.Length);
        for (int i = 0; i < sorted.Length; i++)
            index.Add(sorted[i], i);
        return index;
    }
}
