// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.IO.Compression;
using System.Text;
using VirtTier.Primitives;

namespace VirtTier.Replay.Traces;

/// <summary>
/// Reads recorded traces, text or binary, gzip or not: which it is shows in the first bytes.
/// </summary>
/// <remarks>
/// <para>Text: one access a line, <c>TIME_NS GFN OP</c>, with the time in nanoseconds, the gfn decimal or 0x-hexadecimal, and
/// OP <c>r</c>, <c>w</c> or <c>x</c>. Empty lines and lines that begin with <c>#</c> are skipped.</para>
/// <para>Binary: see <see cref="TraceWriter"/>.</para>
/// </remarks>
public static class TraceReader
{
    // Without an end of the line the whole of a file, or of what its gzip unfolds to, would be one.
    private const int LongestLine = 4096;

    private static ReadOnlySpan<byte> GzipMagic => [0x1f, 0x8b];

    /// <summary>Reads a trace, access by access, and closes the stream at its end.</summary>
    /// <exception cref="InvalidDataException">Something in it is not as it should be;
    /// the message says where and what.</exception>
    public static IEnumerable<TraceAccess> Read(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return ReadAny(stream);
    }

    private static IEnumerable<TraceAccess> ReadAny(Stream stream)
    {
        using BufferedStream outer = new(stream, 1 << 16);
        using PeekableStream file = new(outer);
        if (file.StartsWith(GzipMagic))
        {
            using GZipStream unzipped = new(file, CompressionMode.Decompress);
            using PeekableStream content = new(new BufferedStream(unzipped, 1 << 16));
            foreach (TraceAccess access in ReadPlain(content))
                yield return access;
            yield break;
        }
        foreach (TraceAccess access in ReadPlain(file))
            yield return access;
    }

    private static IEnumerable<TraceAccess> ReadPlain(PeekableStream stream) =>
        stream.StartsWith(TraceWriter.Magic) ? ReadBinary(stream) : ReadText(stream);

    private static IEnumerable<TraceAccess> ReadText(Stream stream)
    {
        using StreamReader reader = new(stream);
        long number = 0;
        while (ReadLine(reader, number + 1) is { } line)
        {
            number++;
            if (line.Length > LongestLine)
                throw Wrong(number, line, $"a line has at most {LongestLine} characters");
            if (line.Length > 0 && line[0] != '#')
                yield return ParseLine(line, number);
        }
    }

    private static string? ReadLine(StreamReader reader, long number)
    {
        try
        {
            StringBuilder line = new();
            int next = -1;
            while (line.Length <= LongestLine && (next = reader.Read()) is not (< 0 or '\n'))
                line.Append((char)next);
            return next < 0 && line.Length == 0 ? null : line.ToString().TrimEnd('\r');
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException(
                $"line {number}: the gzip data breaks off or is damaged at or soon after it: {e.Message}", e);
        }
    }

    private static TraceAccess ParseLine(ReadOnlySpan<char> line, long number)
    {
        Span<Range> fields = stackalloc Range[4];
        if (line.Split(fields, ' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) != 3)
            throw Wrong(number, line, "a line is TIME_NS GFN OP");
        if (!long.TryParse(line[fields[0]], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long time))
            throw Wrong(number, line[fields[0]], "a time is a whole number of nanoseconds");
        if (!TryParseGfn(line[fields[1]], out ulong gfn))
            throw Wrong(number, line[fields[1]], "a gfn is a whole number, decimal or 0x-hexadecimal");
        AccessKind kind = line[fields[2]] switch
        {
            "r" => AccessKind.Read,
            "w" => AccessKind.Write,
            "x" => AccessKind.Fetch,
            _ => throw Wrong(number, line[fields[2]], "an access is r, w or x"),
        };
        return new TraceAccess(time, gfn, kind);
    }

    private static bool TryParseGfn(ReadOnlySpan<char> text, out ulong gfn) =>
        text.StartsWith("0x", StringComparison.Ordinal)
            ? ulong.TryParse(text[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out gfn)
            : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out gfn);

    private static InvalidDataException Wrong(long line, ReadOnlySpan<char> what, string right) =>
        new($"line {line}: \"{Shorten.ForMessage(what)}\": {right}.");

    private static IEnumerable<TraceAccess> ReadBinary(Stream stream)
    {
        stream.ReadExactly(new byte[TraceWriter.Magic.Length]);
        int version = stream.ReadByte();
        if (version != TraceWriter.Version)
            throw new InvalidDataException(
                $"Binary trace of version {version}; this reader knows version {TraceWriter.Version}.");
        long time = 0;
        long gfn = 0;
        for (long number = 1; TryReadNumber(stream, number, out ulong timeStep); number++)
        {
            if (!TryReadNumber(stream, number, out ulong gfnStep))
                throw new InvalidDataException($"record {number}: the trace ends in the middle of it.");
            if (!TryStep(ref time, timeStep))
                throw new InvalidDataException($"record {number}: its time does not fit into 64 bits.");
            if (!TryStep(ref gfn, gfnStep >> TraceWriter.KindBits) || gfn < 0)
                throw new InvalidDataException($"record {number}: its gfn does not fit into 63 bits.");
            int kind = (int)(gfnStep & ((1 << TraceWriter.KindBits) - 1));
            if (kind > (int)AccessKind.Fetch)
                throw new InvalidDataException($"record {number}: kind of access {kind}; there are 0 (r), 1 (w) and 2 (x).");
            yield return new TraceAccess(time, (ulong)gfn, (AccessKind)kind);
        }
    }

    private static bool TryStep(ref long number, ulong step)
    {
        Int128 next = (Int128)number + TraceWriter.FromZigZag(step);
        if (next < long.MinValue || next > long.MaxValue)
            return false;
        number = (long)next;
        return true;
    }

    private static bool TryReadNumber(Stream stream, long record, out ulong number)
    {
        number = 0;
        for (int shift = 0; ; shift += 7)
        {
            int next = ReadByte(stream, record);
            if (next < 0 && shift == 0)
                return false;
            if (next < 0 || shift > 63)
                throw new InvalidDataException(
                    $"record {record}: the trace ends in the middle of a number, or it has too many bytes.");
            // Ten bytes hold 70 bits.
            if (shift == 63 && (next & 0x7e) != 0)
                throw new InvalidDataException($"record {record}: a number in it has more than 64 bits.");
            number |= (ulong)(next & 0x7f) << shift;
            if (next < 0x80)
                return true;
        }
    }

    private static int ReadByte(Stream stream, long record)
    {
        try
        {
            return stream.ReadByte();
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException(
                $"record {record}: the gzip data breaks off or is damaged at or soon after it: {e.Message}", e);
        }
    }
}
