// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Tiering.History;

namespace VirtTier.Agent.Tests.Pictures;

/// <summary>What the agent records of guests to show it.</summary>
public sealed class GuestRecordTests : IDisposable
{
    private readonly FakeHost _host = new() { HotPages = [.. Enumerable.Range(512, 512)] };

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task A_guest_that_is_tiered_has_its_picture_its_nodes_and_its_heat()
    {
        DomainLoopContext context = _host.Context();
        await using DomainLoop tierer = new(context, Domains.ThisProcess, Domains.Running().Orders(1024));
        await Eventually.IsTrue(() => tierer.Status.Rounds > 20 && _host.FastPages <= 1024);
        long rounds = tierer.Status.Rounds;
        await Eventually.IsTrue(() => tierer.Status.Rounds > rounds + 1);

        GuestRecord record = context.Records.Find(Domains.ThisProcess.Pid)!;
        (HeatPicture picture, IReadOnlyList<ulong> addresses) = record.Picture(TimeSpan.FromMinutes(1));
        Assert.Equal([0, 512 * 4096, 1024 * 4096], addresses.Take(3));
        byte[] newest = picture.Cells.Span[^picture.Rows..].ToArray();
        Assert.Equal([1, 255, 1], newest.Take(3));

        Assert.Equal(FakeHost.GuestPages * 4096L, record.Nodes().Sum(n => n.Bytes));
        Assert.Equal([0, 1], record.Nodes().Select(n => n.Node));
        Assert.Equal(_host.FastPages * 4096L, record.Nodes()[0].Bytes);
        IReadOnlyList<HeatBytes> heat = record.Heat();
        Assert.Equal(FakeHost.GuestPages * 4096L, heat.Sum(h => h.FastBytes + h.SlowBytes));
        Assert.Equal(512 * 4096, heat.Where(h => h.LeastHeat > 0.5).Sum(h => h.FastBytes));
        Assert.InRange(record.Ask(curve => curve.Seconds), 0.01, 60);

        DomainStatus status = await PausedAsync(tierer);
        Assert.True(status.DemotedPages >= FakeHost.GuestPages - 1024);
        Assert.All(record.Moves(), moves => Assert.Equal(
            (status.PromotedPages * 4096, status.DemotedPages * 4096), (moves.UpBytes.Sum(), moves.DownBytes.Sum())));
    }

    [Fact]
    public async Task It_outlives_the_agent_and_goes_with_the_domain()
    {
        DomainLoopContext context = _host.Context();
        DomainLoop first = new(context, Domains.ThisProcess, Domains.Running().Orders(1024));
        await Eventually.IsTrue(() => first.Status.Rounds > 8);
        await first.DisposeAsync();
        long demoted = first.Status.DemotedPages;
        Assert.True(demoted > 0);
        double seen = context.Records.Find(Domains.ThisProcess.Pid)!.Ask(curve => curve.Seconds);
        Assert.InRange(seen, 0.01, 60);

        context = _host.Context();
        Assert.Null(context.Records.Find(Domains.ThisProcess.Pid));
        await using DomainLoop second = new(context, Domains.ThisProcess, Domains.Running().Orders(1024));
        await Eventually.IsTrue(() => second.Status.Rounds > 1);
        Assert.InRange(context.Records.Find(Domains.ThisProcess.Pid)!.Ask(curve => curve.Seconds), seen, 60);
        // Its sums begin anew, its moves over time do not.
        DomainStatus status = await PausedAsync(second);
        Assert.Equal((demoted + status.DemotedPages) * 4096,
            context.Records.Find(Domains.ThisProcess.Pid)!.Moves()[^1].DownBytes.Sum());

        context.Records.Keep([Domains.Running() with { Process = Domains.ThisProcess }]);
        Assert.NotNull(context.Records.Find(Domains.ThisProcess.Pid));
        context.Records.Keep([]);
        Assert.Null(context.Records.Find(Domains.ThisProcess.Pid));
        Assert.Empty(Directory.GetFiles(_host.PicturesDirectory));
    }

    [Fact]
    public async Task What_was_saved_of_another_process_is_left_aside_with_one_line()
    {
        DomainLoop first = new(_host.Context(), Domains.ThisProcess, Domains.Running().Orders(1024));
        await Eventually.IsTrue(() => first.Status.Rounds > 2);
        await first.DisposeAsync();
        string file = Assert.Single(Directory.GetFiles(_host.PicturesDirectory));
        byte[] state = File.ReadAllBytes(file);
        state[12] ^= 1;
        File.WriteAllBytes(file, state);

        await using DomainLoop second = new(_host.Context(), Domains.ThisProcess, Domains.Running().Orders(1024));
        await Eventually.IsTrue(() => second.Status.Rounds > 0);
        string line = Assert.Single(_host.Log.Lines, line => line.Contains("pictures", StringComparison.Ordinal));
        Assert.StartsWith($"{file}: left aside, the VM's pictures begin anew: ", line, StringComparison.Ordinal);
    }

    /// <summary>What it was when no round came any more.</summary>
    private static async Task<DomainStatus> PausedAsync(DomainLoop loop)
    {
        loop.Update((Domains.Running() with { State = DomainState.Paused }).Orders(1024));
        await Eventually.IsTrue(() => loop.Status.State == TieringState.Paused);
        return loop.Status;
    }
}
