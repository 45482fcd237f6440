// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests;

public sealed class SettingsStoreTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("virttier-test-").FullName;

    private string StateFile => Path.Combine(_directory, "settings.json");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void What_holds_is_known_to_the_next_agent_and_what_has_gone_is_not()
    {
        RunningDomain a = Domains.Running("4MiB", TieringMode.Observe, "a"), b = Domains.Running("25%", name: "b");
        Store().Save(Domains.Snapshot(a, b));
        Assert.Equal(a.Settings, Store().Load()[(a.Key, a.Uuid)]);
        Assert.Equal(b.Settings, Store().Load()[(b.Key, b.Uuid)]);

        Store().Save(Domains.Snapshot(b));
        Assert.Equal([(b.Key, b.Uuid)], Store().Load().Keys);
    }

    [Fact]
    public void Domains_of_one_uuid_have_their_own_settings()
    {
        RunningDomain a = Domains.Running("4MiB", name: "a");
        RunningDomain twin = a with { Name = "twin", Settings = new TieringSettings() };
        RunningDomain pod = a with { Source = "kubevirt", Settings = new TieringSettings { Shares = 7 } };
        Store().Save(Domains.Snapshot(a, twin, pod) with { IsWhole = false });
        Assert.Equal([a.Settings, twin.Settings], ((RunningDomain[])[a, twin]).Select(d => Store().Load()[(d.Key, d.Uuid)]));
        Assert.Equal(2, Store().Load().Count); // only libvirt's can be broken
    }

    [Fact]
    public void While_libvirt_is_away_nothing_is_forgotten()
    {
        Store().Save(Domains.Snapshot(Domains.Running("4MiB")));

        Store().Save(new DomainSnapshot(2, LibvirtLink.Waiting("libvirtd is down"), []));

        Assert.Single(Store().Load());
    }

    [Fact]
    public void The_file_is_written_only_when_something_changed()
    {
        SettingsStore store = Store();
        store.Save(Domains.Snapshot(Domains.Running("4MiB")));
        File.Delete(StateFile);

        store.Save(Domains.Snapshot(Domains.Running("4MiB")));
        Assert.False(File.Exists(StateFile));
        store.Save(Domains.Snapshot(Domains.Running("5MiB")));
        Assert.True(File.Exists(StateFile));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{ \"7b0c5bd6-8c0e-4b7c-9f43-0d4a3ad3ce68\": { \"dram\": \"1GiB\" } }")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("[null]")]
    [InlineData(
        """[{ "Name": "a", "Uuid": "7b0c5bd6-8c0e-4b7c-9f43-0d4a3ad3ce68", "Attributes": { "dram": null } }]""")]
    [InlineData("""[{ "Name": "a" }]""")]
    [InlineData("""[{ "Name": null, "Uuid": "7b0c5bd6-8c0e-4b7c-9f43-0d4a3ad3ce68", "Attributes": {} }]""")]
    [InlineData(
        """[{ "Name": "a", "Uuid": "7b0c5bd6-8c0e-4b7c-9f43-0d4a3ad3ce68", "Attributes": { "dram": "lots" } }]""")]
    public void A_file_that_cannot_be_used_costs_only_what_was_in_it(string text)
    {
        File.WriteAllText(StateFile, text);

        Assert.Empty(Store().Load());
    }

    [Fact]
    public void An_entry_that_says_nothing_costs_no_other_its_settings()
    {
        RunningDomain good = Domains.Running("4MiB");
        Store().Save(Domains.Snapshot(good));
        File.WriteAllText(StateFile, "[null," + File.ReadAllText(StateFile)[1..]);

        Assert.Equal(good.Settings, Assert.Single(Store().Load()).Value);
    }

    [Fact]
    public void A_directory_that_cannot_be_written_stops_nothing() =>
        new SettingsStore("/proc/virttier", NullLogger.Instance).Save(Domains.Snapshot(Domains.Running("4MiB")));

    private SettingsStore Store() => new(_directory, NullLogger.Instance);
}
