// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>Live migration between two hosts, each with a monitor of its own.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class MigrationTests : IAsyncLifetime
{
    private PrivateHost _source = null!;
    private PrivateHost _destination = null!;
    private WatchedHost _watchedSource = null!;
    private WatchedHost _watchedDestination = null!;

    public async ValueTask InitializeAsync()
    {
        _source = await PrivateHost.StartAsync("source");
        _destination = await PrivateHost.StartAsync("destination");
        _watchedSource = WatchedHost.Of(_source);
        _watchedDestination = WatchedHost.Of(_destination);

        // It writes memory faster than the migration may copy it, so the migration lasts until the test has seen it.
        string image = await _source.WriteFileAsync("dirty.img", BootSector.DirtiesMemory);
        await _source.CreateAsync(new TestDomain("web1") { Metadata = TestDomain.MetadataOf("shares='1'") }.BootingFrom(image));
        await _watchedSource.UntilAsync("web1", d => d is { State: DomainState.Running, Process: not null });
        await _source.SetMetadataAsync("web1", "<tiering shares='7'/>");
        await _watchedDestination.UntilLinkAsync(connected: true);
    }

    public async ValueTask DisposeAsync()
    {
        await _watchedSource.DisposeAsync();
        await _watchedDestination.DisposeAsync();
        await _source.DisposeAsync();
        await _destination.DisposeAsync();
    }

    [Fact]
    public async Task Out_of_the_source_and_into_the_destination_with_its_settings()
    {
        Task<(int ExitCode, string Output)> migration = await _source.StartEndlessMigrationAsync("web1", _destination);
        await _watchedSource.UntilAsync("web1", d => d is { State: DomainState.Running, MigratingOut: true });
        await _watchedDestination.UntilAsync("web1", d => d.State == DomainState.Paused);

        await _source.LetMigrationEndAsync("web1");
        Assert.Equal(0, (await migration).ExitCode);
        await _watchedDestination.UntilAsync(
            "web1",
            d => d is { State: DomainState.Running, Process: not null, MigratingOut: false, Settings.Shares: 7 });
        Assert.Equal(_destination.ReadPid("web1"), _watchedDestination.Find("web1")!.Process!.Value.Pid);
        await _watchedSource.UntilGoneAsync("web1");
    }

    [Fact]
    public async Task Cancelled_it_stays_at_the_source_as_if_nothing_had_been()
    {
        ProcessIdentity process = _watchedSource.Find("web1")!.Process!.Value;
        Task<(int ExitCode, string Output)> migration = await _source.StartEndlessMigrationAsync("web1", _destination);
        await _watchedSource.UntilAsync("web1", d => d.MigratingOut);
        await _watchedDestination.UntilAsync("web1", _ => true);

        await _source.VirshAsync("domjobabort", "web1");
        Assert.NotEqual(0, (await migration).ExitCode);
        await _watchedSource.UntilAsync(
            "web1", d => d is { State: DomainState.Running, MigratingOut: false } && d.Process == process);
        await _watchedDestination.UntilGoneAsync("web1");
    }
}
