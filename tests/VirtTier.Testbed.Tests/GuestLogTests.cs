// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Testbed.Tests;

public sealed class GuestLogTests
{
    [Fact]
    public void A_payloads_log_is_counted_by_letter()
    {
        Assert.Equal(new PayloadLog(1, true, 4, 1, true, 0), PayloadLog.Parse("SChhxoehh"));
        Assert.Equal(new PayloadLog(2, true, 1, 0, false, 2), PayloadLog.Parse("SC!!hS"));
        Assert.Equal(new PayloadLog(0, false, 0, 0, false, 0), PayloadLog.Parse(""));
    }

    [Fact]
    public void A_letter_that_no_payload_writes_is_an_error()
    {
        var error = Assert.Throws<FormatException>(() => PayloadLog.Parse("SCz"));

        Assert.Contains("122 at 2", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_linux_guests_hot_frames_are_told_as_ranges()
    {
        LinuxGuestLog log = LinuxGuestLog.Parse(
            "[ 1.0] kernel says\r\ntouched 9\r\nhot 5-7\r\nhot 9-9\r\nhot-end 4\r\nalive 10\r\nalive 20\r\n");

        Assert.Equal([5, 6, 7, 9], log.HotFrames!.Order());
        Assert.Equal(20, log.Passes);
        Assert.Equal(0, log.DamagedPages);
    }

    [Fact]
    public void Before_all_ranges_are_told_there_is_no_hot_set()
    {
        Assert.Null(LinuxGuestLog.Parse("hot 5-7\nhot 9-9\n").HotFrames);
    }

    [Fact]
    public void A_line_that_is_still_being_written_is_passed_over()
    {
        LinuxGuestLog log = LinuxGuestLog.Parse("hot 5-7\nhot-end 3\nalive 10\nalive 2");

        Assert.Equal(10, log.Passes);
    }

    [Fact]
    public void Damage_is_counted()
    {
        Assert.Equal(2, LinuxGuestLog.Parse("damaged 7\ndamaged 8\n").DamagedPages);
    }

    [Theory]
    [InlineData("hot 5-7\nhot-end 4\n", "3 hot frames")]
    [InlineData("hot 5\n", "FIRST-LAST")]
    [InlineData("alive soon\n", "'soon'")]
    public void A_broken_line_is_an_error_that_names_it(string text, string message)
    {
        var error = Assert.Throws<FormatException>(() => LinuxGuestLog.Parse(text));

        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }
}
