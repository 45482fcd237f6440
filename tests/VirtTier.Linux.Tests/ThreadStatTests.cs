// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Linux.Tests;

public sealed class ThreadStatTests
{
    private const string Fields = " 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 987654 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17";

    [Fact]
    public void Name_processor_and_time_are_read() =>
        Assert.Equal(new ThreadStat("CPU 3/KVM", 5, 200), ThreadStat.Parse($"77 (CPU 3/KVM) S{Fields} 5 0 0"));

    [Fact]
    public void A_name_may_hold_anything() =>
        Assert.Equal(new ThreadStat("a) (b", 5, 200), ThreadStat.Parse($"77 (a) (b) S{Fields} 5 0 0"));

    [Theory]
    [InlineData("")]
    [InlineData("77 (a")]
    [InlineData("77 )a( S 1")]
    [InlineData($"77 (a) S{Fields}")]
    [InlineData($"77 (a) S{Fields} -1 0")]
    public void What_makes_no_sense_is_no_thread(string stat) => Assert.Null(ThreadStat.Parse(stat));

    [Fact]
    public void The_running_process_has_threads_on_processors() =>
        Assert.InRange(ThreadStat.Read(Environment.ProcessId, Environment.ProcessId)!.Value.Processor, 0, 65535);
}
