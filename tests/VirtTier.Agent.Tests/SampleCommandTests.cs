// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Commands;
using VirtTier.Memory;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;

namespace VirtTier.Agent.Tests;

public sealed class SampleCommandTests
{
    [Theory]
    [InlineData("4711", 4711)]
    [InlineData("web1", 42)]
    public void A_guest_is_a_pid_or_a_domain_that_runs(string guest, int pid) =>
        Assert.Equal(pid, SampleCommand.FindPid(guest, path => path == "/run/libvirt/qemu/web1.pid" ? 42 : null));

    [Theory]
    [InlineData("web2")]
    [InlineData("-1")]
    [InlineData("0")]
    [InlineData("../../etc/web1")]
    public void What_is_neither_is_named(string guest)
    {
        var error = Assert.Throws<GuestMemoryException>(
            () => SampleCommand.FindPid(guest, path => path.EndsWith("/web1.pid", StringComparison.Ordinal) ? 42 : null));
        Assert.Equal(GuestMemoryError.NotAGuest, error.Kind);
        Assert.Contains($"'{guest}' is neither", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Samples_are_printed_as_they_come_until_there_are_enough()
    {
        using var sampler = new RecordedSampler([0x1a2b | (1ul << 61), 7 | (6ul << 61), 8 | (2ul << 61)]);
        using var output = new StringWriter();
        SampleCommand.Print(sampler, AccessKinds.Read, 50, 2, () => true, new NoonTime(), output,
            TestContext.Current.CancellationToken);
        Assert.Equal("12:00:00.250  gfn 0x1a2b  r--\n12:00:00.250  gfn 0x7  -wx\n", output.ToString());
        Assert.Equal([(AccessKinds.Read, 50), (AccessKinds.None, 0)], sampler.Orders);
    }

    [Fact]
    public void A_guest_that_ends_ends_it()
    {
        using var sampler = new RecordedSampler([]);
        using var output = new StringWriter();
        var error = Assert.Throws<GuestMemoryException>(
            () => SampleCommand.Print(sampler, AccessKinds.Read, 1, 1, () => false, TimeProvider.System, output,
                TestContext.Current.CancellationToken));
        Assert.Equal(GuestMemoryError.ProcessGone, error.Kind);
    }

    [Fact]
    public void An_interruption_ends_it_with_the_sampling_stopped()
    {
        using var sampler = new RecordedSampler([]);
        using var output = new StringWriter();
        using CancellationTokenSource stop = new();
        SampleCommand.Print(sampler, AccessKinds.Read, 1, 1, () => { stop.Cancel(); return true; }, TimeProvider.System,
            output, stop.Token);
        Assert.Equal((AccessKinds.None, 0), sampler.Orders[^1]);
    }

    private sealed class NoonTime : TimeProvider
    {
        public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

        public override DateTimeOffset GetUtcNow() => new(2026, 1, 1, 12, 0, 0, 250, TimeSpan.Zero);
    }

    private sealed class RecordedSampler(ulong[] records) : IGuestSampler
    {
        private int _next;

        public List<(AccessKinds Kinds, int Rate)> Orders { get; } = [];

        public SamplerInfo GetInfo() => throw new NotSupportedException();

        public IReadOnlyList<Memslot> GetMemslots() => throw new NotSupportedException();

        public HarvestResult Harvest(GfnRange range, HarvestBuffers buffers, HarvestOptions options) =>
            throw new NotSupportedException();

        public void SampleFaults(AccessKinds kinds, int samplesPerSecond) => Orders.Add((kinds, samplesPerSecond));

        public int ReadSamples(Span<AccessSample> destination)
        {
            int count = Math.Min(destination.Length, records.Length - _next);
            for (int i = 0; i < count; i++)
                destination[i] = new AccessSample(records[_next++]);
            return count;
        }

        public bool WaitForSamples(TimeSpan timeout) => _next < records.Length;

        public void Dispose()
        {
        }
    }
}
