// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;
using VirtTier.Tiering.Heat;
using VirtTier.Tiering.History;
using VirtTier.Tiering.Value;

namespace VirtTier.Tiering.Tests;

/// <summary>Files of pictures with any numbers in them: whoever can write the file can make the checksum.</summary>
public sealed class GuestHistoryFileTests
{
    private const int Pages = 1024;
    private const long Now = 1_700_000_000;

    // The pages; three rings of 160 columns with two rows each and a time; the sums of the curve and its pages; then
    // three rings of moves.
    private const int AtRing = 4;
    private const int RingBytes = 8 + (160 * 2);
    private const int AtCurve = AtRing + (3 * RingBytes);
    private const int AtFast = AtCurve + (4 * 8);
    private const int AtMoves = AtFast + (179 * 8);
    private const int MovesBytes = 8 + (2 * 160 * 4);

    [Theory]
    [InlineData("number of pages", 0, new byte[] { 0, 0, 0, 0x80 })]
    [InlineData("number of pages", 0, new byte[] { 1, 2, 0, 0 })]
    [InlineData("time of a picture", AtRing, new byte[] { 0, 0, 0, 0, 0, 0, 0, 0x80 })]
    [InlineData("time of a picture", AtRing, new byte[] { 0, 0, 0, 0, 0, 0, 0, 0x7f })]
    [InlineData("time of a picture", AtRing + (2 * RingBytes), new byte[] { 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff })]
    [InlineData("time of a curve", AtCurve, new byte[] { 0, 0, 0, 0, 0, 0, 0xf8, 0x7f })] // not a number
    [InlineData("time of a curve", AtCurve, new byte[] { 0, 0, 0, 0, 0, 0, 0xf0, 0xbf })] // -1
    [InlineData("number of accesses", AtCurve + 8, new byte[] { 0, 0, 0, 0, 0, 0, 0xf0, 0x7f })] // infinity
    [InlineData("number of accesses", AtCurve + 8, new byte[] { 0, 0, 0, 0, 0, 0, 0xe0, 0x7f })] // 9e307
    [InlineData("error of a curve", AtCurve + 16, new byte[] { 0, 0, 0, 0, 0, 0, 0xf0, 0x40 })] // more than all accesses
    [InlineData("error of a curve", AtCurve + 24, new byte[] { 0, 0, 0, 0, 0, 0, 0x59, 0x40 })] // more than of those checked
    [InlineData("error of a curve", AtCurve + 24, new byte[] { 0, 0, 0, 0, 0, 0, 0xf0, 0x40 })]
    [InlineData("number of accesses", AtFast + 8, new byte[] { 0, 0, 0, 0, 0, 0, 0xf0, 0xbf })]
    [InlineData("number of accesses", AtFast + 8, new byte[] { 0, 0, 0, 0, 0, 0x03, 0xdb, 0x40 })] // fewer with more DRAM
    [InlineData("number of pages", AtFast + (178 * 8), new byte[] { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff })]
    [InlineData("number of pages", AtFast + (178 * 8), new byte[] { 0, 0, 0, 0x80, 0, 0, 0, 0 })]
    [InlineData("time of moves", AtMoves, new byte[] { 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff })]
    [InlineData("time of moves", AtMoves + (2 * MovesBytes), new byte[] { 0, 0, 0, 0, 0, 0, 0, 0x7f })]
    public void What_no_agent_writes_is_refused_by_name(string what, int at, byte[] forgery)
    {
        byte[] forged = SavedState.Contents(Full().Save(1));
        forgery.CopyTo(forged, at);
        GuestHistory history = Empty();
        byte[] before = history.Save(1);
        Assert.Equal($"it is damaged: no agent writes such a {what}", history.Restore(Packed(forged), 1));
        Assert.Equal(before, history.Save(1));
    }

    [Fact]
    public void A_forged_file_is_taken_whole_or_not_at_all()
    {
        byte[] good = SavedState.Contents(Full().Save(1));
        byte[] untouched = Empty().Save(1);
        Random random = new(1);
        int refused = 0, taken = 0;
        for (int i = 0; i < 3000; i++)
        {
            byte[] forged = [.. good];
            for (int change = random.Next(3); change >= 0; change--)
            {
                int at = random.Next(4) switch
                {
                    0 => random.Next(AtRing + 8),
                    1 => random.Next(AtRing, AtCurve),
                    2 => random.Next(AtCurve, AtMoves),
                    _ => random.Next(AtMoves, good.Length),
                };
                forged[at] = random.Next(3) switch { 0 => 0xff, 1 => 0x7f, _ => (byte)random.Next(256) };
            }
            if (random.Next(10) == 0)
                forged = forged[..random.Next(forged.Length)];
            else if (random.Next(10) == 0)
                forged = [.. forged, 0];

            GuestHistory history = Empty();
            if (history.Restore(Packed(forged), 1) is not null)
            {
                Assert.Equal(untouched, history.Save(1));
                refused++;
                continue;
            }
            GoOn(history);
            taken++;
        }
        Assert.True(refused > 500 && taken > 500, $"{refused} refused, {taken} taken");
    }

    // All that is asked of a history, and all that it takes in.
    private static void GoOn(GuestHistory history)
    {
        Observe(history, Now + 5);
        history.Resize(2 * Pages);
        history.Resize(Pages);
        foreach (int minutes in (int[])[1, 100, 10_000])
            Assert.Equal(Pages / 512, history.Ring.Read(TimeSpan.FromMinutes(minutes), Now + 5).Rows);
        for (long pages = 0; pages <= int.MaxValue; pages = (pages * 3) + 500)
            Assert.InRange(history.Curve.SlowShare(pages), 0, 1);
        foreach (double share in (double[])[0, 0.001, 0.1, 1])
            Assert.InRange(history.Curve.PagesFor(share), 0, int.MaxValue);
        Assert.InRange(history.Curve.Error ?? 0, 0, 1.001);
        Assert.InRange(history.Curve.Seconds, 0, 1e11);
        foreach (MovePicture moves in history.Moves.Read(Now + 5))
            Assert.All(moves.Promoted.Concat(moves.Demoted), pages => Assert.InRange(pages, 0, uint.MaxValue));
        Assert.Null(Empty().Restore(history.Save(1), 1));
    }

    private static GuestHistory Empty() => new(new HeatRing(Pages), new LongCurve());

    private static GuestHistory Full()
    {
        GuestHistory history = Empty();
        Observe(history, Now);
        return history;
    }

    private static void Observe(GuestHistory history, long second)
    {
        ulong[] accessed = new ulong[Pages / 64];
        accessed[3] = 0xff;
        history.Ring.Observe(accessed, new MappingSize[Pages / 512], second);
        history.Curve.Add(new DramCurve([(512, 0.9), (512, 0.001)], error: 0.02), 60);
        history.Moves.Add(3, 4, second);
    }

    private static byte[] Packed(byte[] contents) => HeatFileFormat.Pack(
        1, writer => writer.Write(contents), GuestHistory.Kind);
}
