// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Sampling;
using VirtTier.Memory.Splitting;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests;

/// <summary>When the agent samples faults, and what comes of it.</summary>
public sealed class FaultSamplingTests : IDisposable
{
    private const int BlockPages = PageSizes.BlockPages;
    private const int Budget = FakeHost.GuestPages / 2;

    private readonly FakeHost _host = new() { HotPages = [.. Enumerable.Range(0, FakeHost.GuestPages)] };

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Of_2_MiB_mappings_those_in_use_as_a_whole_stay_in_fast_memory()
    {
        // Of every other mapping the guest uses one page; their accessed bits look like those of the others.
        Random random = new(1);
        _host.HugePages = true;
        _host.Faults = kinds => kinds == AccessKinds.Write
            ? throw new InvalidOperationException("writes weigh nothing here")
            : Enumerable.Range(0, 8).Select(block => Sample(
                (block * BlockPages) + (block % 2 == 0 ? 7 : random.Next(BlockPages)),
                random.Next(2) == 0 ? AccessKinds.Read : AccessKinds.Write));
        await using DomainLoop loop = Start(new AgentConfig());

        await Eventually.IsTrue(
            () => Enumerable.Range(0, 8).All(block => _host.NodeOf[block * BlockPages] == (block % 2 == 0 ? 1 : 0)));

        Assert.Equal(100, _host.FaultRate);
        Assert.InRange(loop.Status.FaultSamples, 8, long.MaxValue);
    }

    [Theory]
    [InlineData(0.1, 100, 1000)]
    [InlineData(0.1, 7, 70)]
    [InlineData(0.1, 300, 1000)] // the most that there may be
    [InlineData(0, 100, 100)]
    public async Task A_guest_that_may_be_split_is_sampled_faster_at_first(double splitShare, int rate, int atFirst)
    {
        bool stepped = false;
        _host.HugePages = true;
        _host.Splitter = new NeverSplit();
        _host.Faults = _ => stepped ? Enumerable.Range(0, 8).Select(block => Sample(block * BlockPages, AccessKinds.Read)) : [];
        await using DomainLoop loop = Start(new AgentConfig { FaultRate = rate }, splitShare);

        await Eventually.IsTrue(() => loop.Status.Rounds >= 5);
        Assert.Equal(atFirst, _host.FaultRate);

        stepped = true;
        await Eventually.IsTrue(() => _host.FaultRate == rate);
        Assert.InRange(loop.Status.FaultSamples, splitShare > 0 ? 8 * 8 : 0, long.MaxValue);
    }

    [Fact]
    public async Task Where_writes_weigh_more_what_is_written_stays_in_fast_memory()
    {
        // Every page is read before it is written, so that the first access tells nothing;
        // and it takes four times as many landmines to find a write.
        static bool IsWritten(int page) => page / BlockPages % 2 == 1;
        int calls = 0;
        _host.Faults = kinds =>
        {
            _host.Landmines = kinds == AccessKinds.Write ? 400UL : 100UL;
            int pages = kinds == AccessKinds.Write ? 160 : 80;
            return Enumerable.Range(0, pages).Select(i => (i * 51) + (++calls % 50)).Select(page => page % FakeHost.GuestPages)
                .Where(page => kinds != AccessKinds.Write || IsWritten(page)).Select(
                    page => Sample(page, kinds == AccessKinds.Write ? kinds : AccessKinds.Read));
        };
        await using DomainLoop loop = Start(new AgentConfig { WriteWeight = 4 });

        int Fast(bool written) =>
            Enumerable.Range(0, FakeHost.GuestPages).Count(p => _host.NodeOf[p] == 0 && IsWritten(p) == written);
        await Eventually.IsTrue(() => Fast(written: true) >= Budget * 9 / 10 && Fast(written: false) <= Budget / 20);
    }

    [Theory]
    [InlineData("4 KiB mappings")]
    [InlineData("rate 0")]
    [InlineData("a kernel that cannot")]
    public async Task Where_samples_would_tell_nothing_or_are_not_to_be_had_there_are_none(string why)
    {
        _host.HugePages = why != "4 KiB mappings";
        _host.CanSampleFaults = why != "a kernel that cannot";
        await using DomainLoop loop = Start(new AgentConfig { FaultRate = why == "rate 0" ? 0 : 100 });

        await Eventually.IsTrue(() => loop.Status.Rounds >= 5);

        Assert.Equal((0, 0L), (_host.FaultRate, loop.Status.FaultSamples));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_guest_that_is_suspended_or_migrates_is_not_sampled(bool suspended)
    {
        _host.HugePages = true;
        await using DomainLoop loop = Start(new AgentConfig());
        await Eventually.IsTrue(() => _host.FaultRate == 100);

        if (suspended)
            loop.Update((Domains.Running() with { State = DomainState.Paused }).Orders(Budget));
        else
            _host.DirtyLogging = true;
        await Eventually.IsTrue(() => loop.Status.State == TieringState.Paused && _host.FaultRate == 0);

        _host.DirtyLogging = false;
        loop.Update(Domains.Running().Orders(Budget));
        await Eventually.IsTrue(() => _host.FaultRate == 100);
    }

    [Fact]
    public async Task More_samples_than_fit_one_read_and_of_no_page_do_no_harm()
    {
        _host.HugePages = true;
        _host.Faults =
            _ => Enumerable.Range(0, 1000).Select(i => Sample(i < 999 ? i : FakeHost.GuestPages + i, AccessKinds.Read));
        await using DomainLoop loop = Start(new AgentConfig());

        await Eventually.IsTrue(() => loop.Status.FaultSamples >= 1000);

        Assert.Equal(TieringState.Tiering, loop.Status.State);
        Assert.Equal(0, loop.Status.FaultSamples % 999);
    }

    private static AccessSample Sample(int gfn, AccessKinds kinds) => new((uint)gfn | ((ulong)kinds << 61));

    private DomainLoop Start(AgentConfig config, double splitShare = 0) =>
        new(_host.Context(config), Domains.ThisProcess, Domains.Running().Orders(Budget, splitShare));

    private sealed class NeverSplit : IHugePages
    {
        public void Split(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes) => outcomes.Fill(SplitOutcome.Pinned);

        public void Join(int pid, ReadOnlySpan<ulong> blocks, Span<SplitOutcome> outcomes) => outcomes.Fill(SplitOutcome.Pinned);
    }
}
