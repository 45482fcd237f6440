// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>The monitor against the real libvirt-dbus and libvirt's own test driver: needs no root.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class TestDriverTests
{
    [Fact]
    public async Task A_domain_without_a_process_is_shown_with_the_reason()
    {
        await using TestDriver driver = await TestDriver.StartAsync();
        await using WatchedHost watched = WatchedHost.ByHintsOf(driver);
        string path = await driver.CreateAsync(new TestDomain("t1") { Metadata = TestDomain.MetadataOf("dram='auto'") });

        await watched.UntilAsync("t1", d => d.State == DomainState.Running);
        Assert.Null(watched.Find("t1")!.Process);
        Assert.Contains("t1.pid", watched.Find("t1")!.ProcessProblem, StringComparison.Ordinal);
        Assert.Equal(SizeSpec.Auto, watched.Find("t1")!.Settings.Dram);

        await driver.CallDomainAsync(path, "Suspend", BusBody.Empty);
        await watched.UntilAsync("t1", d => d.State == DomainState.Paused);
        await driver.CallDomainAsync(path, "Destroy", new("u", 0u));
        await watched.UntilGoneAsync("t1");
    }

    [Fact]
    public async Task A_storm_of_metadata_changes_ends_in_the_last_one()
    {
        await using TestDriver driver = await TestDriver.StartAsync();
        await using WatchedHost watched = WatchedHost.ByHintsOf(driver);
        string path = await driver.CreateAsync(new TestDomain("t1"));
        await watched.UntilAsync("t1", d => d.State == DomainState.Running);
        long before = watched.Monitor.Current.Version;
        Stopwatch watch = Stopwatch.StartNew();

        for (int shares = 1; shares <= 2000; shares++)
        {
            await driver.CallDomainAsync(path, "SetMetadata", new("isssu",
                2, $"<tiering shares='{shares}'/>", "vt", TieringSettings.MetadataNamespace, 1u));
        }

        await watched.UntilAsync("t1", d => d.Settings.Shares == 2000);
        double mostLooks = (watch.Elapsed / new DomainMonitorOptions().ShortestInterval) + 2; // one under way, and the last one
        Assert.InRange(watched.Monitor.Current.Version - before, 1, mostLooks);
    }
}
