// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Testbed.Tests;

/// <summary>The time that an emulated host had, told by a procfs of the test's own.</summary>
public sealed class HostClockTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("host-clock").FullName;
    private readonly Clock _time = new();

    public HostClockTests()
    {
        File.WriteAllText(Path.Combine(_folder, "pid"), "42\n");
        Queue(1, TimeSpan.FromHours(1));
        Queue(2, TimeSpan.Zero);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_a_thread_waited_for_a_processor_is_not_counted()
    {
        HostClock clock = new(_folder, _folder, _time);
        _time.Now += TimeSpan.FromSeconds(60);
        Assert.Equal(60, clock.Elapsed.TotalSeconds);

        Queue(1, TimeSpan.FromHours(1) + TimeSpan.FromSeconds(50));
        Queue(2, TimeSpan.FromSeconds(20));
        _time.Now += TimeSpan.FromSeconds(5);
        Assert.Equal(15, clock.Elapsed.TotalSeconds);

        _time.Now += TimeSpan.FromSeconds(5);
        Assert.Equal(20, clock.Elapsed.TotalSeconds);
    }

    [Fact]
    public void A_thread_that_came_later_counts_from_zero()
    {
        HostClock clock = new(_folder, _folder, _time);
        Queue(3, TimeSpan.FromSeconds(7));
        _time.Now += TimeSpan.FromSeconds(10);
        Assert.Equal(3, clock.Elapsed.TotalSeconds);
    }

    [Fact]
    public void Without_an_emulator_all_time_counts()
    {
        File.Delete(Path.Combine(_folder, "pid"));
        HostClock clock = new(_folder, _folder, _time);
        _time.Now += TimeSpan.FromSeconds(10);
        Assert.Equal(10, clock.Elapsed.TotalSeconds);
    }

    private void Queue(int thread, TimeSpan waited)
    {
        string folder = Directory.CreateDirectory(Path.Combine(_folder, "42", "task", $"{thread}")).FullName;
        File.WriteAllText(Path.Combine(folder, "schedstat"), $"123 {waited.Ticks * 100} 9\n");
    }

    private sealed class Clock : TimeProvider
    {
        public TimeSpan Now { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}
