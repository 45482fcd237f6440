// SPDX-License-Identifier: Apache-2.0
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace VirtTier.Tiering.Heat;

/// <summary>The two bytes of <see cref="PageState"/> for each page of a domain, and its neighbourhood.</summary>
internal sealed class PageHistory(int pages)
{
    private const int LongestRun = 64 * Neighbourhood.Pages;

    private readonly byte[] _heat = new byte[pages];
    private readonly byte[] _recency = new byte[pages];

    public ReadOnlySpan<byte> Heat => _heat;

    public Neighbourhood Neighbours { get; } = new(pages);

    /// <summary>Whether the page had memory behind it when the last round ended.</summary>
    public bool WasResident(int page) => (_recency[page] & ~PageState.HitMask) != PageState.Absent;

    /// <summary>The state of a page as of the last round that ended.</summary>
    public int State(int page) => PageState.Of(_heat[page], _recency[page], Neighbours[page]);

    /// <summary>Takes in that a quarter of the round found a page accessed.</summary>
    /// <returns>Whether it is the first that is seen of the page since it had no memory.</returns>
    public bool Hit(int page, int quarter)
    {
        bool first = _recency[page] == PageState.Absent;
        _recency[page] |= (byte)(1 << quarter);
        return first;
    }

    /// <summary>Takes in which of 64 pages a quarter of the round found accessed.</summary>
    /// <returns>Of how many of them it is the first that is seen since they had no memory.</returns>
    public int Hit(int firstPage, ulong accessed, int quarter)
    {
        if (accessed == 0)
            return 0;
        ref byte recency = ref _recency[firstPage];
        Vector256<byte> bit = Vector256.Create((byte)(1 << quarter));
        return Mark(ref recency, unchecked((uint)accessed), bit)
            + Mark(ref Unsafe.Add(ref recency, Neighbourhood.Pages), (uint)(accessed >> Neighbourhood.Pages), bit);
    }

    /// <summary>Whether the running round found a page accessed.</summary>
    public bool IsHit(int page) => (_recency[page] & PageState.HitMask) != 0;

    /// <summary>Pages of a neighbourhood that the running round found accessed.</summary>
    public int HitsIn(int firstPage)
    {
        Vector256<byte> hits = Vector256.LoadUnsafe(ref _recency[firstPage]) & Vector256.Create((byte)PageState.HitMask);
        return Neighbourhood.Pages
            - BitOperations.PopCount(Vector256.Equals(hits, Vector256<byte>.Zero).ExtractMostSignificantBits());
    }

    /// <summary>Ends a round for a run of pages that are alike and have memory behind them.</summary>
    /// <returns>How the round turned out for each.</returns>
    public int EndRound(int firstPage, int count, int quarters, long round)
    {
        byte heat = _heat[firstPage];
        byte recency = _recency[firstPage];
        int outcome = PageState.Outcome(recency, quarters);
        byte nextRecency = PageState.NextRecency(recency, outcome, round);
        byte nextHeat = PageState.NextHeat(heat, outcome);
        // Most memory idles, and what did not change need not be written back.
        if (nextRecency != recency)
            _recency.AsSpan(firstPage, count).Fill(nextRecency);
        if (nextHeat != heat)
            _heat.AsSpan(firstPage, count).Fill(nextHeat);
        return outcome;
    }

    /// <summary>Pages of the neighbourhoods from here on that are in one tier and all alike;
    /// 0 if those of the first are not.</summary>
    public int AlikeNeighbourhoods(ReadOnlySpan<byte> residency, int firstPage, int end)
    {
        // Far enough for long runs, near enough that looking ahead at the neighbourhoods stays cheap.
        end = end - firstPage < LongestRun ? end : firstPage + LongestRun;
        // A round looks at each page of the guest here, and the slices check that the places are within the arrays, which is why
        // none of what is added up to them overflows.
        unchecked
        {
            ReadOnlySpan<byte> classes = Neighbours.Of(firstPage, end - firstPage);
            int sameNeighbours = classes.IndexOfAnyExcept(classes[0]);
            int limit = sameNeighbours < 0 ? end : firstPage + (sameNeighbours * Neighbourhood.Pages);
            // The bounds are checked here once; the loop is what a round spends most of its time in.
            _ = residency[end - 1] + _recency[end - 1];
            ref byte tiers = ref MemoryMarshal.GetReference(residency);
            ref byte recencies = ref MemoryMarshal.GetArrayDataReference(_recency);
            ref byte heats = ref MemoryMarshal.GetArrayDataReference(_heat);
            Vector256<byte> tier = Vector256.Create(residency[firstPage]);
            Vector256<byte> recency = Vector256.Create(_recency[firstPage]);
            Vector256<byte> heat = Vector256.Create(_heat[firstPage]);
            int page = firstPage;
            for (; page < limit; page += Neighbourhood.Pages)
            {
                Vector256<byte> differences = (Vector256.LoadUnsafe(ref tiers, (nuint)page) ^ tier)
                    | (Vector256.LoadUnsafe(ref recencies, (nuint)page) ^ recency)
                    | (Vector256.LoadUnsafe(ref heats, (nuint)page) ^ heat);
                if (differences != Vector256<byte>.Zero)
                    break;
            }
            return page - firstPage;
        }
    }

    /// <summary>Fault samples of each page of a run but the first, while the run is mapped as one and its
    /// history is in its first page.</summary>
    public Span<byte> Samples(int firstPage, int count) => _heat.AsSpan(firstPage + 1, count - 1);

    /// <summary>Gives the pages of a run the history of its first.</summary>
    public void Spread(int firstPage, int count)
    {
        _heat.AsSpan(firstPage, count).Fill(_heat[firstPage]);
        _recency.AsSpan(firstPage, count).Fill(_recency[firstPage]);
    }

    /// <summary>Gives the pages of a run that were <see cref="Samples">sampled</see> the history of its first, and the others a
    /// little of its heat.</summary>
    /// <param name="firstPage">The first page.</param>
    /// <param name="count">Pages.</param>
    /// <param name="share">Share of the heat, 0..1.</param>
    public void SpreadToSampled(int firstPage, int count, double share)
    {
        byte little = PageState.HeatOf(PageState.ShareOf(_heat[firstPage]) * share);
        for (int page = firstPage + 1; page < firstPage + count; page++)
        {
            bool sampled = _heat[page] > 0;
            _heat[page] = sampled ? _heat[firstPage] : little;
            _recency[page] = sampled ? _recency[firstPage] : (byte)(PageState.NeverAccessed << PageState.Quarters);
        }
    }

    /// <summary>Gives the first page of a run the history of its hottest.</summary>
    public void Gather(int firstPage, int count)
    {
        int hottest = firstPage;
        for (int page = firstPage; page < firstPage + count; page++)
        {
            if (_heat[page] > _heat[hottest])
                hottest = page;
        }
        (byte heat, byte recency) = (_heat[hottest], _recency[hottest]);
        Forget(firstPage, count);
        (_heat[firstPage], _recency[firstPage]) = (heat, recency);
        Neighbours.Of(firstPage, count).Clear();
    }

    /// <summary>Forgets a run of pages: what comes to live there next begins without a past.</summary>
    public void Forget(int firstPage, int count)
    {
        _heat.AsSpan(firstPage, count).Clear();
        _recency.AsSpan(firstPage, count).Clear();
    }

    /// <summary>Gives a run of pages that are alike the history of memory that was never accessed.</summary>
    public void SetUntouched(int firstPage, int count)
    {
        const byte untouched = PageState.NeverAccessed << PageState.Quarters;
        if ((_heat[firstPage], _recency[firstPage]) == (0, untouched))
            return;
        _heat.AsSpan(firstPage, count).Clear();
        _recency.AsSpan(firstPage, count).Fill(untouched);
    }

    // The least heat of each level of a summary, and what stands for the level where it is taken over: a heat within it, and a
    // recency that fits.
    private static readonly byte[] s_levelFloors = [0, 1, .. ((double[])[0.03, 0.12, 0.29, 0.6]).Select(PageState.HeatOf)];

    private static readonly byte[] s_seededHeat = [.. ((double[])[0, 0.016, 0.065, 0.19, 0.44, 0.85]).Select(PageState.HeatOf)];

    private static ReadOnlySpan<byte> SeededRecency => [PageState.NeverAccessed, 14, 11, 8, 3, 7];

    /// <summary>The level of <see cref="HeatSummary"/> of a page's heat.</summary>
    public static int LevelOf(byte heat)
    {
        int level = HeatSummary.Levels - 1;
        while (heat < s_levelFloors[level])
            level--;
        return level;
    }

    /// <summary>The level of the hottest page of a run, and how many pages from the first on, before the end, surely
    /// have it.</summary>
    public (int Level, int Alike) LevelOf(int first, int count, int end)
    {
        byte heat = _heat[first];
        int alike = _heat.AsSpan(first, end - first).IndexOfAnyExcept(heat);
        if (alike < 0 || alike >= count)
            return (LevelOf(heat), alike < 0 ? end - first : alike);
        return (LevelOf(Hottest(_heat.AsSpan(first, count))), count);
    }

    private static byte Hottest(ReadOnlySpan<byte> heat)
    {
        byte hottest = 0;
        Vector256<byte> most = Vector256<byte>.Zero;
        for (; heat.Length >= Vector256<byte>.Count; heat = heat[Vector256<byte>.Count..])
            most = Vector256.Max(most, Vector256.Create(heat));
        for (int i = 0; i < Vector256<byte>.Count; i++)
            hottest = Math.Max(hottest, most[i]);
        foreach (byte page in heat)
            hottest = Math.Max(hottest, page);
        return hottest;
    }

    /// <summary>Gives a run of pages the history of a level of <see cref="HeatSummary"/>.</summary>
    public void Seed(int first, int count, int level)
    {
        _heat.AsSpan(first, count).Fill(s_seededHeat[level]);
        _recency.AsSpan(first, count).Fill((byte)(SeededRecency[level] << PageState.Quarters));
    }

    /// <summary>Takes over a run of another history, without the round that was under way there.</summary>
    public void CopyFrom(PageHistory other, int from, int to, int count)
    {
        other._heat.AsSpan(from, count).CopyTo(_heat.AsSpan(to));
        Span<byte> recency = _recency.AsSpan(to, count);
        other._recency.AsSpan(from, count).CopyTo(recency);
        foreach (ref byte page in recency)
            page &= unchecked((byte)~PageState.HitMask);
        other.Neighbours.Of(from, count).CopyTo(Neighbours.Of(to, count));
    }

    public void Write(BinaryWriter writer)
    {
        writer.Write(_heat);
        writer.Write(_recency);
        Neighbours.Write(writer);
    }

    public void Read(BinaryReader reader)
    {
        reader.BaseStream.ReadExactly(_heat);
        reader.BaseStream.ReadExactly(_recency);
        Neighbours.Read(reader);
    }

    /// <summary>Whether bytes, a multiple of 32 of them, have one value.</summary>
    public static bool AllEqual(ReadOnlySpan<byte> bytes)
    {
        ref byte first = ref Unsafe.AsRef(in bytes[0]);
        Vector256<byte> value = Vector256.Create(first);
        Vector256<byte> differences = Vector256<byte>.Zero;
        for (int i = 0; i < bytes.Length; i += Neighbourhood.Pages)
            differences |= Vector256.LoadUnsafe(ref first, unchecked((nuint)i)) ^ value;
        return differences == Vector256<byte>.Zero;
    }

    private static int Mark(ref byte recency, uint accessed, Vector256<byte> bit)
    {
        Vector256<byte> before = Vector256.LoadUnsafe(ref recency);
        (before | (BitMask.Expand(accessed) & bit)).StoreUnsafe(ref recency);
        return BitOperations.PopCount(Vector256.Equals(before, Vector256<byte>.Zero).ExtractMostSignificantBits() & accessed);
    }
}
