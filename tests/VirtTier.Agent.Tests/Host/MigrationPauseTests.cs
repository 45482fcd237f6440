// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// A live migration between two hosts, with the agent's loops on each: nothing is harvested or moved at the source while the
/// guest is copied, nor at the destination before it runs there. A second guest at the source shows
/// meanwhile that the loops are at work.
/// </summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class MigrationPauseTests : IAsyncLifetime
{
    private const int HarvestsMeanwhile = 10;
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(100);

    private readonly StandInKernel _sourceKernel = new(), _destinationKernel = new();
    private PrivateHost _source = null!, _destination = null!;
    private TieredHost _atSource = null!, _atDestination = null!;
    private int _pid;

    public async ValueTask InitializeAsync()
    {
        _source = await PrivateHost.StartAsync("source");
        _destination = await PrivateHost.StartAsync("destination");
        _atSource = TieredHost.Of(_source, _sourceKernel, s_interval);
        _atDestination = TieredHost.Of(_destination, _destinationKernel, s_interval);
        await _atDestination.Watched.UntilLinkAsync(connected: true);

        // It writes memory faster than the migration may copy it. Its pages are moved so slowly that
        // there is always one more to move.
        string image = await _source.WriteFileAsync("dirty.img", BootSector.DirtiesMemory);
        TestDomain domain = new TestDomain("web1")
        {
            MemoryMiB = 64,
            Metadata = TestDomain.MetadataOf("dram='8MiB' rate='64KiB/s'"),
            Extra = "<memoryBacking><allocation mode='immediate'/></memoryBacking>",
        }.BootingFrom(image);
        await _source.CreateAsync(domain);
        await _source.CreateAsync(new TestDomain("other") { MemoryMiB = 8 });
        await Eventually.IsTrue(() => _source.FindPid("web1") is not null, () => "no pid");
        _pid = _source.ReadPid("web1");
        await Eventually.IsTrue(() => StandInKernel.Peek(_pid, BootSector.DirtiedAddress) != 0,
            () => "the guest does not write");
        await Eventually.IsTrue(() => _sourceKernel.WorkOn(_pid) is { Harvests: > 4, Moves: > 0 }, _atSource.ToString);
    }

    public async ValueTask DisposeAsync()
    {
        await _atSource.DisposeAsync();
        await _atDestination.DisposeAsync();
        await _source.DisposeAsync();
        await _destination.DisposeAsync();
        _sourceKernel.Dispose();
        _destinationKernel.Dispose();
    }

    [Fact]
    public async Task Cancelled_the_source_goes_on_where_it_paused()
    {
        Task<(int ExitCode, string Output)> migration = await _source.StartEndlessMigrationAsync("web1", _destination);
        StandInKernel.GuestWork paused = await UntilPausedAsync();
        await PassTimeAsync();
        Assert.Equal(paused, _sourceKernel.WorkOn(_pid));

        await _source.VirshAsync("domjobabort", "web1");
        Assert.NotEqual(0, (await migration).ExitCode);
        await Eventually.IsTrue(
            () => _sourceKernel.WorkOn(_pid) is { } now && now.Harvests > paused.Harvests && now.Moves > paused.Moves,
            _atSource.ToString);
        Assert.Equal(TieringState.Tiering, Find(_atSource)!.State);
        await Eventually.IsTrue(() => _destinationKernel.SampledPids.Count == 0, _atDestination.ToString);
        Assert.Equal(0, _destinationKernel.Harvests);
    }

    [Fact]
    public async Task Completed_the_destination_begins_when_the_guest_runs_there_with_the_settings_that_came_with_it()
    {
        Task<(int ExitCode, string Output)> migration = await _source.StartEndlessMigrationAsync("web1", _destination);
        StandInKernel.GuestWork paused = await UntilPausedAsync();
        await Eventually.IsTrue(
            () => _destinationKernel.SampledPids.Count == 1 && Find(_atDestination) is { State: TieringState.Paused },
            _atDestination.ToString);
        int arrived = _destination.ReadPid("web1");
        Assert.Equal([arrived], _destinationKernel.SampledPids);
        await PassTimeAsync();
        Assert.Equal(paused, _sourceKernel.WorkOn(_pid));
        Assert.Equal(default, _destinationKernel.WorkOn(arrived));

        await _source.LetMigrationEndAsync("web1");
        Assert.Equal(0, (await migration).ExitCode);
        await Eventually.IsTrue(() => _destinationKernel.WorkOn(arrived) is { Harvests: > 0, Moves: > 0 },
            _atDestination.ToString);
        Assert.Equal(8 << 20, Find(_atDestination)!.BudgetBytes);
        await Eventually.IsTrue(() => Find(_atSource) is null, _atSource.ToString);
        await Eventually.IsTrue(() => _sourceKernel.SampledPids.Count == 1, () => "the source keeps its sampler");
        Assert.Equal(paused, _sourceKernel.WorkOn(_pid));
    }

    private static DomainStatus? Find(TieredHost host) => host.Reconciler.Status().Domains.FirstOrDefault(d => d.Name == "web1");

    private async Task<StandInKernel.GuestWork> UntilPausedAsync()
    {
        await Eventually.IsTrue(() => Find(_atSource)!.State == TieringState.Paused, _atSource.ToString);
        Assert.Contains("being copied", Find(_atSource)!.Reason, StringComparison.Ordinal);
        return _sourceKernel.WorkOn(_pid);
    }

    /// <summary>Waits while another guest of the source is harvested a number of times.</summary>
    private async Task PassTimeAsync()
    {
        int other = _source.ReadPid("other"), begun = _sourceKernel.WorkOn(other).Harvests;
        await Eventually.IsTrue(() => _sourceKernel.WorkOn(other).Harvests >= begun + HarvestsMeanwhile, _atSource.ToString);
    }
}
