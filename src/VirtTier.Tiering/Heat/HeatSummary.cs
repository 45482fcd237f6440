// SPDX-License-Identifier: Apache-2.0
using System.IO.Compression;

namespace VirtTier.Tiering.Heat;

/// <summary>
/// The heat of a guest in a few KiB for each GiB, so that it can go with the guest to another process or host: runs of guest
/// frames that are alike, as fine as the room allows. There is nothing in it but frame numbers and levels of heat. Whoever wrote
/// one is not trusted: what is read is bounded in bytes, runs and frames before anything is made of it.
/// </summary>
public static class HeatSummary
{
    /// <summary>Levels of heat: 0 is never accessed, 1 idle for long, the last one accessed all the time.</summary>
    public const int Levels = 6;

    /// <summary>Most bytes of a summary, of a guest of any size.</summary>
    public const int MostBytes = 128 << 10;

    // A guest's summary may have so many bytes for each GiB, and as many for no memory at all.
    private const int BytesPerGiB = 4 << 10;
    private const int PagesPerGiB = 1 << 18;

    // More runs than this would hardly pack into the limit, and cost time at both ends.
    private const int RunsPerByte = 4;
    private const int MostRuns = MostBytes * RunsPerByte;
    private const int MostRanges = 1024;
    private const int LevelBits = 3;

    // A guest frame number on x86-64 has 40 bits.
    private const ulong MostFrames = 1UL << 40;

    // What each level is written as: itself, or cold and hot.
    private static readonly ReadOnlyMemory<byte>[] s_levels = [new byte[] { 0, 1, 2, 3, 4, 5 }, new byte[] { 1, 1, 1, 4, 4, 4 }];

    private static readonly HeatFileKind s_kind = new("VTTRAVEL", 1, "summary of heat", CompressionLevel.Optimal);

    // Pages that share a level, the finest first: a page, 32 KiB, 256 KiB, 2 MiB, 16 MiB, 128 MiB.
    private static ReadOnlySpan<byte> UnitShifts => [0, 3, 6, 9, 12, 15];

    /// <summary>Most bytes of the summary of a guest with so many pages.</summary>
    public static int Limit(long pages) => (int)Math.Min(MostBytes, BytesPerGiB + (pages * BytesPerGiB / PagesPerGiB));

    /// <summary>Packs a guest's heat.</summary>
    /// <param name="ranges">The runs of frames that its pages have, in the order of the pages: whole blocks.</param>
    /// <param name="level">Gives the levels, each below <see cref="Levels"/>.</param>
    /// <returns>Null if all pages are alike, or there is no way to have it small enough.</returns>
    public static byte[]? Pack(IReadOnlyList<HeatRange> ranges, LevelOfRun level)
    {
        ArgumentNullException.ThrowIfNull(ranges);
        ArgumentNullException.ThrowIfNull(level);
        int limit = Limit(ranges.Sum(range => (long)range.Pages));
        if (ranges.Count is 0 or > MostRanges)
            return null;
        foreach (byte shift in UnitShifts)
        {
            // Two levels that are told page by page say more than six of coarse units.
            foreach (ReadOnlyMemory<byte> levels in s_levels)
            {
                using MemoryStream contents = new();
                using BinaryWriter writer = new(contents);
                if (!Write(writer, ranges, level, levels.Span, shift, limit * RunsPerByte, out bool isAllAlike))
                    continue;
                if (isAllAlike)
                    return null;
                byte[] packed = HeatFileFormat.Pack(
                    0, whole => whole.Write(contents.GetBuffer(), 0, (int)contents.Length), s_kind);
                if (packed.Length <= limit)
                    return packed;
            }
        }
        return null;
    }

    /// <summary>Reads a summary, whoever wrote it.</summary>
    /// <param name="packed">The summary.</param>
    /// <param name="pages">Pages of the guest that it is to be of.</param>
    /// <param name="take">Takes each run, in the order of frames within each range. What it got before a refusal is to be
    /// forgotten.</param>
    /// <returns>Null, or why it cannot be used.</returns>
    public static string? Unpack(ReadOnlySpan<byte> packed, long pages, Action<HeatRun> take)
    {
        ArgumentNullException.ThrowIfNull(take);
        if (packed.Length > MostBytes)
            return $"it has {packed.Length} bytes, no agent writes more than {MostBytes}";
        return HeatFileFormat.Refusal(packed, 0, s_kind) ?? HeatFileFormat.Unpack(packed, reader => Read(reader, pages, take));
    }

    private static bool Write(
        BinaryWriter writer, IReadOnlyList<HeatRange> ranges, LevelOfRun levelOf, ReadOnlySpan<byte> levels, int shift,
        int mostRuns, out bool isAllAlike)
    {
        isAllAlike = true;
        int before = -1;
        writer.Write((byte)shift);
        writer.Write((ushort)ranges.Count);
        foreach (HeatRange range in ranges)
        {
            writer.Write(range.FirstGfn);
            writer.Write((long)range.Pages);
        }
        int runs = 0, first = 0;
        foreach (HeatRange range in ranges)
        {
            int end = first + range.Pages, level = -1;
            long length = 0;
            for (int page = first; page < end;)
            {
                int unit = Math.Min(1 << shift, end - page);
                (int found, int alike) = levelOf(page, unit, end);
                int next = levels[found];
                // Whole units only, but for the last.
                int units = page + alike >= end ? (end - page + (1 << shift) - 1) >> shift : Math.Max(1, alike >> shift);
                if (next != level && length > 0)
                {
                    WriteRun(writer, level, length);
                    length = 0;
                    if (++runs > mostRuns)
                        return false;
                }
                level = next;
                length += units;
                page = (int)Math.Min(end, page + ((long)units << shift));
                isAllAlike &= level == before || before < 0;
                before = level;
            }
            WriteRun(writer, level, length);
            if (++runs > mostRuns)
                return false;
            first = end;
        }
        return true;
    }

    private static void WriteRun(BinaryWriter writer, int level, long units) =>
        writer.Write7BitEncodedInt64((units << LevelBits) | (long)level);

    private static void Read(BinaryReader reader, long pages, Action<HeatRun> take)
    {
        int shift = reader.ReadByte();
        HeatFileFormat.Require(UnitShifts.Contains((byte)shift), "unit");
        int count = reader.ReadUInt16();
        HeatFileFormat.Require(count is > 0 and <= MostRanges, "number of ranges");
        (ulong First, long Pages)[] ranges = new (ulong, long)[count];
        ulong free = 0;
        long sum = 0;
        for (int i = 0; i < count; i++)
        {
            ranges[i] = (reader.ReadUInt64(), reader.ReadInt64());
            (ulong first, long length) = ranges[i];
            HeatFileFormat.Require(length > 0 && (ulong)length <= MostFrames && first >= free && first <= MostFrames, "range");
            free = first + (ulong)length;
            sum += length;
        }
        // The device memory that counts may differ a little before the guest runs, not by so much.
        if (sum / 2 > pages || pages / 2 > sum)
            throw new InvalidDataException($"it is of {sum} pages, the guest has {pages}");
        int runs = 0;
        foreach ((ulong first, long length) in ranges)
        {
            long units = ((length - 1) >> shift) + 1;
            for (long unit = 0; unit < units;)
            {
                HeatFileFormat.Require(++runs <= MostRuns, "number of runs");
                long run = ReadNumber(reader);
                int level = (int)(run & ((1 << LevelBits) - 1));
                long more = run >> LevelBits;
                HeatFileFormat.Require(level < Levels && more > 0 && more <= units - unit, "run");
                long start = unit << shift;
                take(new HeatRun(first + (ulong)start, Math.Min(length, (unit + more) << shift) - start, level));
                unit += more;
            }
        }
    }

    private static long ReadNumber(BinaryReader reader)
    {
        try
        {
            return reader.Read7BitEncodedInt64();
        }
        catch (FormatException)
        {
            throw new InvalidDataException("it is damaged: no agent writes such a number");
        }
    }
}

/// <summary>The level of the hottest page of a run, and how many pages from its first on are all of that level.</summary>
/// <param name="first">The first page.</param>
/// <param name="count">Pages of the run.</param>
/// <param name="end">One past the last page that is of interest.</param>
public delegate (int Level, int Alike) LevelOfRun(int first, int count, int end);

/// <summary>A run of guest frames that pages have, in the order of the pages.</summary>
/// <param name="FirstGfn">Its first guest frame number.</param>
/// <param name="Pages">Its length.</param>
public readonly record struct HeatRange(ulong FirstGfn, int Pages);

/// <summary>Guest frames that are alike.</summary>
/// <param name="FirstGfn">The first.</param>
/// <param name="Pages">Their number.</param>
/// <param name="Level">Their heat, below <see cref="HeatSummary.Levels"/>.</param>
public readonly record struct HeatRun(ulong FirstGfn, long Pages, int Level);
