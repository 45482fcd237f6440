// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;

namespace VirtTier.Testbed.Tests;

public sealed class PayloadGuestTests
{
    private static PayloadGuest Guest(int memory = 64, int hot = 1000) =>
        new() { Name = "p", MemoryMebibytes = memory, HotPages = hot, HotStartFrame = 0x800 };

    private static uint Parameter(byte[] rom, int index) =>
        BinaryPrimitives.ReadUInt32LittleEndian(rom.AsSpan(0x10 + index * 4));

    [Fact]
    public void The_rom_is_64_KiB_and_begins_where_the_cpu_does()
    {
        byte[] rom = Guest().BuildRom();

        Assert.Equal(65536, rom.Length);
        // A near jump with a 16-bit offset at the reset vector, 16 bytes below the end, back to the first byte.
        Assert.Equal(0xe9, rom[0xfff0]);
        short offset = BinaryPrimitives.ReadInt16LittleEndian(rom.AsSpan(0xfff1));
        Assert.Equal(0, unchecked((ushort)(0xfff3 + offset)));
    }

    [Fact]
    public void Parameters_stand_in_the_order_of_the_assembly_source()
    {
        var guest = new PayloadGuest
        {
            Name = "p",
            MemoryMebibytes = 64,
            HotPages = 1000,
            HotStartFrame = 0x800,
            StrideFrames = 5,
            WrittenPages = 250,
            PassPeriod = TimeSpan.FromMilliseconds(50),
            PassesPerHeartbeat = 7,
            LoneStartFrame = 0x3805,
            LonePages = 4,
            StepPages = 301,
        };
        byte[] rom = guest.BuildRom();

        uint[] parameters = [.. Enumerable.Range(0, 12).Select(i => Parameter(rom, i))];
        Assert.Equal(
            [0x100000, 64 * 256 - 0x100, 0x800000, 1000, 5 * 4096, 2000, 250, 50_000_000, 7, 0x3805000, 4, 301], parameters);
    }

    [Fact]
    public void Parameters_change_nothing_else_in_the_rom()
    {
        byte[] one = Guest(64, 1000).BuildRom();
        byte[] other = Guest(128, 2000).BuildRom();

        Assert.Equal(one[..0x10], other[..0x10]);
        Assert.Equal(one[0x40..], other[0x40..]);
        Assert.NotEqual(one, other);
    }

    [Fact]
    public void The_hot_set_is_every_third_frame_and_the_payloads_own()
    {
        IReadOnlySet<int> hot = Guest().HotFrames();

        Assert.Equal(1001, hot.Count);
        Assert.Contains(PayloadGuest.StateFrame, hot);
        Assert.Contains(0x800, hot);
        Assert.DoesNotContain(0x801, hot);
        Assert.Contains(0x800 + 999 * 3, hot);
        Assert.DoesNotContain(0x800 + 1000 * 3, hot);
    }

    [Fact]
    public void Lone_pages_are_hot_each_by_itself_in_2_MiB_and_must_fit()
    {
        PayloadGuest Lone(int pages) =>
            new() { Name = "p", MemoryMebibytes = 64, HotPages = 100, LoneStartFrame = 0x3805, LonePages = pages };
        Assert.Equal([0x3805, 0x3a05, 0x3c05, 0x3e05], Lone(4).HotFrames().Where(frame => frame >= 0x3805).Order());
        Assert.NotEmpty(Lone(4).BuildRom());
        Assert.Contains("LonePages is 5", Assert.Throws<ArgumentException>(() => Lone(5).BuildRom()).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void The_first_pages_of_the_set_are_those_that_are_written()
    {
        PayloadGuest guest = new()
        {
            Name = "p",
            MemoryMebibytes = 64,
            HotPages = 1000,
            HotStartFrame = 0x800,
            WrittenPages = 400,
        };
        Assert.Equal(401, guest.WrittenFrames().Count);
        Assert.True(guest.WrittenFrames().IsProperSubsetOf(guest.HotFrames()));
        Assert.Contains(0x800 + 399 * 3, guest.WrittenFrames());
        Assert.True(Guest().WrittenFrames().SetEquals(Guest().HotFrames()));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1000)]
    [InlineData(15)]
    public void A_step_that_would_leave_pages_out_is_refused(int step)
    {
        PayloadGuest guest = new() { Name = "p", MemoryMebibytes = 64, HotPages = 1000, StepPages = step };
        Assert.Contains($"StepPages is {step}", Assert.Throws<ArgumentException>(guest.BuildRom).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_shift_keeps_the_upper_half_hot()
    {
        IReadOnlySet<int> before = Guest().HotFrames();
        IReadOnlySet<int> after = Guest().HotFrames(shifts: 1);

        Assert.Equal(1001, after.Count);
        Assert.Equal(501, after.Intersect(before).Count());
        Assert.DoesNotContain(0x800, after);
        Assert.Contains(0x800 + 500 * 3, after);
        Assert.Contains(0x800 + 1499 * 3, after);
    }

    [Fact]
    public void Shifts_wrap_around_and_come_back_after_four()
    {
        PayloadGuest guest = Guest();

        Assert.Contains(0x800 + 499 * 3, guest.HotFrames(3));
        Assert.Contains(0x800 + 1999 * 3, guest.HotFrames(3));
        Assert.True(guest.HotFrames(0).SetEquals(guest.HotFrames(4)));
    }

    [Fact]
    public void All_hot_frames_lie_inside_the_memory_that_is_written_once()
    {
        PayloadGuest guest = Guest();

        for (int shifts = 0; shifts < 4; shifts++)
        {
            Assert.All(guest.HotFrames(shifts).Where(frame => frame != PayloadGuest.StateFrame),
                frame => Assert.InRange(frame, PayloadGuest.FirstFrame, guest.Frames - 1));
        }
    }

    [Theory]
    [InlineData(64, 4096, "HotPages is 4096")]
    [InlineData(1, 2, "MemoryMebibytes is 1")]
    [InlineData(64, 999, "HotPages is 999")]
    public void What_does_not_fit_is_refused_by_name_and_value(int memory, int hot, string message)
    {
        var error = Assert.Throws<ArgumentException>(() => Guest(memory, hot).BuildRom());

        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_largest_hot_set_that_fits_is_accepted()
    {
        // The last place of 2 n, 3 frames apart from 0x800, must be a frame of the guest.
        int most = (64 * 256 - 0x800 - 1) / 3 + 1;
        Assert.NotEmpty(Guest(64, most / 4 * 2).BuildRom());
        Assert.Throws<ArgumentException>(() => Guest(64, most / 4 * 2 + 2).BuildRom());
    }
}
