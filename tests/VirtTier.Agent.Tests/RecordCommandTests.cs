// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Commands;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Memory;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Sampling;
using VirtTier.Replay.Traces;

namespace VirtTier.Agent.Tests;

public sealed class RecordCommandTests : IDisposable
{
    private readonly FakeHost _host = new() { HotPages = [3, 700, 4095] };
    private readonly MemoryStream _trace = new();

    [Fact]
    public async Task Every_harvest_is_in_the_trace_as_replay_reads_it()
    {
        using CancellationTokenSource stop = new();
        Task<(int Harvests, long Accesses)> recording = RecordAsync(TimeSpan.MaxValue, stop.Token);
        await Eventually.IsTrue(() => _host.Harvests > 5);
        await stop.CancelAsync();
        (int harvests, long accesses) = await recording;
        TraceAccess[] read = Read();
        Assert.True(harvests > 0);
        Assert.Equal(3 * harvests, accesses);
        Assert.Equal(accesses, read.Length);
        Assert.Equal([3UL, 700UL, 4095UL], read[^3..].Select(a => a.Gfn));
        Assert.Equal(harvests, read.Select(a => a.TimeNs).Distinct().Count());
        Assert.True(read[0].TimeNs > 0, "what was accessed before the recording began is left out");
    }

    [Fact]
    public async Task It_ends_after_its_time()
    {
        (int harvests, _) = await RecordAsync(TimeSpan.FromMilliseconds(30), TestContext.Current.CancellationToken);
        Assert.InRange(harvests, 0, 30);
    }

    [Fact]
    public async Task An_interruption_leaves_a_whole_trace()
    {
        using CancellationTokenSource stop = new(TimeSpan.FromMilliseconds(50));
        (_, long accesses) = await RecordAsync(TimeSpan.MaxValue, stop.Token);
        Assert.Equal(accesses, Read().Length);
    }

    [Fact]
    public async Task A_harvest_during_which_the_memory_changed_is_left_out()
    {
        _host.HotPages = [3, 700];
        _host.SlotPages = FakeHost.GuestPages - 512;
        using CancellationTokenSource stop = new();
        Task<(int Harvests, long Accesses)> recording = RecordAsync(TimeSpan.MaxValue, stop.Token);
        await Eventually.IsTrue(() => _host.Harvests > 3);
        _host.SlotPages = FakeHost.GuestPages;
        _host.Generation++;
        int before = _host.Harvests;
        await Eventually.IsTrue(() => _host.Harvests > before + 3);
        await stop.CancelAsync();
        (int harvests, _) = await recording;
        // The first, which only clears, and the one that met the change.
        Assert.Equal(_host.Harvests - 2, harvests);
    }

    [Fact]
    public async Task The_end_of_the_guest_is_the_end_of_the_recording()
    {
        using EndingSampler sampler = new(_host.Attach(1), 5);
        (int harvests, _) = await RecordCommand.RecordAsync(
            sampler, _trace, TimeSpan.FromMilliseconds(1), TimeSpan.MaxValue, TimeProvider.System,
            TestContext.Current.CancellationToken);
        Assert.Equal(4, harvests);
        Assert.Equal(12, Read().Length);
    }

    public void Dispose()
    {
        _trace.Dispose();
        _host.Dispose();
    }

    private async Task<(int Harvests, long Accesses)> RecordAsync(TimeSpan duration, CancellationToken stop)
    {
        using IGuestSampler sampler = _host.Attach(1);
        return await RecordCommand.RecordAsync(
            sampler, _trace, TimeSpan.FromMilliseconds(1), duration, TimeProvider.System, stop);
    }

    private TraceAccess[] Read() => [.. TraceReader.Read(new MemoryStream(_trace.ToArray()))];

    /// <summary>A guest that ends after so many harvests.</summary>
    private sealed class EndingSampler(IGuestSampler inner, int harvests) : IGuestSampler
    {
        public SamplerInfo GetInfo() => inner.GetInfo();

        public IReadOnlyList<Memslot> GetMemslots() => inner.GetMemslots();

        public HarvestResult Harvest(GfnRange range, HarvestBuffers buffers, HarvestOptions options) =>
            harvests-- > 0
                ? inner.Harvest(range, buffers, options)
                : throw new GuestMemoryException(GuestMemoryError.ProcessGone, "it has ended");

        public void SampleFaults(AccessKinds kinds, int samplesPerSecond) => throw new NotSupportedException();

        public int ReadSamples(Span<AccessSample> destination) => throw new NotSupportedException();

        public bool WaitForSamples(TimeSpan timeout) => throw new NotSupportedException();

        public void Dispose() => inner.Dispose();
    }
}
