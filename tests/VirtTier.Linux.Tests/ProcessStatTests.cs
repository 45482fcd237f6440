// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;

namespace VirtTier.Linux.Tests;

public sealed class ProcessStatTests
{
    [Fact]
    public void A_command_with_blanks_and_parentheses_moves_no_field()
    {
        ProcessStat? stat = ProcessStat.Parse(
            "42 (qemu (x) 1 2) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 3 4 20 0 5 0 987654 1000 200 18446744073709551615\n");
        Assert.Equal(new ProcessStat('S', 150, 50, 987654), stat);
    }

    [Theory]
    [InlineData("")]
    [InlineData("42 (qemu) S 1 42 42 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 5 0\n")]
    public void A_line_that_breaks_off_is_that_of_no_process(string line) => Assert.Null(ProcessStat.Parse(line));

    [Theory]
    [InlineData('Z', true)]
    [InlineData('X', true)]
    [InlineData('S', false)]
    public void A_zombie_has_ended(char state, bool ended) => Assert.Equal(ended, new ProcessStat(state, 0, 0, 1).HasEnded);

    [Fact]
    public void This_process_started_after_the_first_and_before_one_of_its_own()
    {
        using Process child = Process.Start("sleep", "60");
        try
        {
            ulong own = ProcessStat.Read(Environment.ProcessId)!.Value.StartTime;
            Assert.InRange(own, ProcessStat.Read(1)!.Value.StartTime, ProcessStat.Read(child.Id)!.Value.StartTime);
        }
        finally
        {
            child.Kill();
        }
    }

    [Fact]
    public void There_is_no_process_below_zero() => Assert.Null(ProcessStat.Read(-1));
}
