// SPDX-License-Identifier: Apache-2.0
using System.IO.Compression;
using System.Text;
using VirtTier.Replay.Traces;

namespace VirtTier.Replay.Tests;

/// <summary>Traces that are none: refused in a short sentence, whatever is in them and however much.</summary>
public sealed class TraceReaderTests
{
    [Theory]
    [InlineData('a')]
    [InlineData('\u001b')]
    [InlineData('9')]
    [InlineData(' ')]
    public void A_megabyte_in_one_line_is_not_echoed(char c)
    {
        string much = new(c, 1 << 20);
        foreach (string text in (string[])[much, $"1 {much} r", $"{much} 2 r", $"1 2 {much}", $"#\n1 2 r\n{much}\n"])
            AssertShown(Assert.Throws<InvalidDataException>(() => Read(Encoding.UTF8.GetBytes(text))).Message);
        string odd = new(c, 1000);
        AssertShown(Assert.Throws<InvalidDataException>(() => Read(Encoding.UTF8.GetBytes($"1 {odd}x r"))).Message);
    }

    [Fact]
    public void A_line_that_unfolds_without_end_is_given_up_soon()
    {
        Endless endless = new();
        Assert.Contains("at most 4096 characters",
            Assert.Throws<InvalidDataException>(() => TraceReader.Read(endless).Count()).Message, StringComparison.Ordinal);
        Assert.InRange(endless.Taken, 1, 1 << 20);
    }

    [Theory]
    [InlineData("1 2 r\n3 0x4 w\n")]
    [InlineData("1 2 r\r\n\r\n3 0x4 w")]
    [InlineData("# comment\n\n1 2 r\n3 4 w\n")]
    public void Lines_end_as_they_do_anywhere(string text) =>
        Assert.Equal([new TraceAccess(1, 2, AccessKind.Read), new TraceAccess(3, 4, AccessKind.Write)],
            TraceReader.Read(new MemoryStream(Encoding.UTF8.GetBytes(text))));

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void A_trace_with_any_damage_is_read_or_refused(bool binary, bool zipped)
    {
        byte[] good = Good(binary, zipped);
        Random random = new(13);
        for (int run = 0; run < 1000; run++)
        {
            byte[] damaged = [.. good];
            for (int change = random.Next(4); change >= 0; change--)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            try
            {
                Read(random.Next(2) == 0 ? damaged : damaged[..random.Next(damaged.Length)]);
            }
            catch (InvalidDataException e)
            {
                AssertShown(e.Message);
            }
        }
    }

    /// <summary>Steps that wrap around would be other accesses than those that were recorded.</summary>
    [Theory]
    [InlineData("record 2: its time does not fit into 64 bits.", "fe ff ff ff ff ff ff ff ff 01  00  02 00")]
    [InlineData("record 2: its time does not fit into 64 bits.", "ff ff ff ff ff ff ff ff ff 01  00  01 00")]
    [InlineData("record 1: its gfn does not fit into 63 bits.", "00 04")] // -1
    [InlineData("record 1: a number in it has more than 64 bits.", "80 80 80 80 80 80 80 80 80 02  00")]
    public void Numbers_that_do_not_fit_are_refused(string message, string records) => Assert.Equal(message,
        Assert.Throws<InvalidDataException>(() => Read(Binary(records))).Message);

    [Fact]
    public void The_first_and_the_last_moment_are_read() => Assert.Equal(
        [long.MinValue, long.MinValue + 1], TraceReader.Read(new MemoryStream(
            Binary("ff ff ff ff ff ff ff ff ff 01  00  02 00"))).Select(access => access.TimeNs));

    [Fact]
    public void Times_and_gfns_of_every_magnitude_are_read_as_they_were_written()
    {
        Random random = new(5);
        TraceAccess[] accesses =
        [
            .. Enumerable.Range(0, 2000).Select(_ => new TraceAccess(
                random.NextInt64(1L << random.Next(63)) * (random.Next(2) == 0 ? 1 : -1),
                (ulong)random.NextInt64(1L << random.Next(61)),
                (AccessKind)random.Next(3))),
        ];
        using MemoryStream stream = new();
        TraceWriter writer = new(stream);
        foreach (TraceAccess access in accesses)
            writer.Write(access);
        Assert.Equal(accesses, TraceReader.Read(new MemoryStream(stream.ToArray())));
    }

    private static byte[] Binary(string records) =>
        [.. "VTTR"u8, 1, .. Convert.FromHexString(records.Replace(" ", "", StringComparison.Ordinal))];

    private static byte[] Good(bool binary, bool zipped)
    {
        TraceAccess[] accesses =
            [.. Enumerable.Range(1, 50).Select(i => new TraceAccess(i * 1000, (ulong)(i * 37 % 11), (AccessKind)(i % 3)))];
        using MemoryStream plain = new();
        if (binary)
        {
            TraceWriter writer = new(plain);
            foreach (TraceAccess access in accesses)
                writer.Write(access);
        }
        else
        {
            plain.Write(Encoding.UTF8.GetBytes(string.Concat(accesses.Select(
                a => $"{a.TimeNs} {a.Gfn} {"rwx"[(int)a.Kind]}\n"))));
        }
        if (!zipped)
            return plain.ToArray();
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest))
            gzip.Write(plain.ToArray());
        return packed.ToArray();
    }

    private static int Read(byte[] bytes) => TraceReader.Read(new MemoryStream(bytes)).Count();

    private static void AssertShown(string message)
    {
        Assert.InRange(message.Length, 1, 300);
        Assert.DoesNotContain(message, char.IsControl);
    }

    /// <summary>A line that never ends.</summary>
    private sealed class Endless() : MemoryStream([0])
    {
        public long Taken { get; private set; }

        public override bool CanSeek => false;

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            buffer.Fill((byte)'a');
            Taken += buffer.Length;
            Assert.True(Taken < 100 << 20, "it goes on and on");
            return buffer.Length;
        }
    }
}
