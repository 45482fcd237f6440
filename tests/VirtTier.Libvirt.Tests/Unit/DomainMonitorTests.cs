// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>The picture is right whatever hints come, in whatever order, or not at all.</summary>
public sealed class DomainMonitorTests
{
    private readonly FakeLibvirt _host = new();

    [Fact]
    public async Task A_start_without_any_signal_is_seen_at_the_next_look()
    {
        await _host.LookAsync();
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        domain.Metadata = TestDomain.MetadataOf("dram='50%'");
        await _host.LookAsync();

        RunningDomain found = _host.Find("web1")!;
        Assert.Equal(domain.Uuid, found.Uuid);
        Assert.Equal(new ProcessIdentity(10, 1010), found.Process);
        Assert.Null(found.ProcessProblem);
        Assert.Equal(DomainState.Running, found.State);
        Assert.Equal(SizeSpec.FromPercent(50), found.Settings.Dram);
        Assert.True(_host.Monitor.Current.Link.Connected);
    }

    [Fact]
    public async Task A_stop_without_any_signal_is_seen_at_the_next_look_and_leaves_no_watch()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        Assert.Equal(1, _host.WatchCount);
        _host.Domains.Remove(domain);
        await _host.LookAsync();

        Assert.Empty(_host.Monitor.Current.Domains);
        Assert.Equal(0, _host.WatchCount);
    }

    [Fact]
    public async Task Resumed_before_started_is_one_domain_that_runs()
    {
        await _host.LookAsync();
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        _host.RaiseDomainEvent(domain, kind: 4);
        await _host.LookAsync();
        _host.RaiseDomainEvent(domain, kind: 2);
        await _host.LookAsync();

        Assert.Equal("web1", Assert.Single(_host.Monitor.Current.Domains).Name);
        Assert.Equal(DomainState.Running, _host.Find("web1")!.State);
    }

    [Fact]
    public async Task A_signal_about_a_domain_that_is_not_there_any_more_does_no_harm()
    {
        FakeDomain domain = new("ghost");
        _host.RaiseDomainEvent(domain, kind: 2);
        await _host.LookAsync();

        Assert.Empty(_host.Monitor.Current.Domains);
        Assert.True(_host.Monitor.Current.Link.Connected);
    }

    [Fact]
    public async Task A_look_at_a_quiet_host_costs_two_calls_however_many_domains_there_are()
    {
        for (int i = 1; i <= 50; i++)
            _host.StartDomain($"web{i}", pid: i);
        await _host.LookAsync();
        _host.Bus.Calls.Clear();
        await _host.LookAsync();

        Assert.Equal(["ListDomains", "GetAllDomainStats"], _host.Bus.Calls.Select(call => call.Member));
    }

    [Fact]
    public async Task A_thousand_metadata_changes_are_one_reading()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        _host.Bus.Calls.Clear();
        domain.Metadata = TestDomain.MetadataOf("shares='7'");
        for (int i = 0; i < 1000; i++)
            _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        await _host.LookAsync();

        Assert.Equal(7, _host.Find("web1")!.Settings.Shares);
        Assert.Equal(1, _host.CountCalls("GetXMLDesc"));
    }

    [Fact]
    public async Task Any_event_of_a_domain_has_its_definition_read_again()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        domain.Metadata = TestDomain.MetadataOf("shares='7'"); // as when it goes back to a snapshot
        _host.RaiseDomainEvent(domain, kind: 4);
        await _host.LookAsync();
        Assert.Equal(7, _host.Find("web1")!.Settings.Shares);
    }

    [Fact]
    public async Task A_lost_metadata_signal_costs_no_more_than_the_age_limit()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        domain.Metadata = TestDomain.MetadataOf("shares='7'");
        await _host.LookAsync();
        Assert.Null(_host.Find("web1")!.Settings.Shares);

        _host.Time.Advance(new DomainMonitorOptions().XmlAgeLimit);
        await _host.LookAsync();
        Assert.Equal(7, _host.Find("web1")!.Settings.Shares);
    }

    [Fact]
    public async Task Bad_settings_leave_the_last_good_ones_and_are_logged_once()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        domain.Metadata = TestDomain.MetadataOf("dram='16MiB'");
        await _host.LookAsync();
        domain.Metadata = TestDomain.MetadataOf("dram='2000' shares='7'");
        for (int i = 0; i < 3; i++)
        {
            _host.RaiseMetadataChange(domain);
            await _host.LookAsync();
        }

        RunningDomain found = _host.Find("web1")!;
        Assert.Equal(SizeSpec.FromBytes(16 << 20), found.Settings.Dram);
        Assert.Null(found.Settings.Shares);
        Assert.Equal("dram", Assert.Single(found.SettingsProblems).Attribute);
        Assert.Single(_host.Log.Lines, line => line.Contains("bad tiering settings", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("urn:virttier:tiering")]
    [InlineData("urn:virttier:tiering:2")]
    [InlineData("urn:VirtTier:tiering:1")]
    public async Task Settings_of_another_namespace_are_not_passed_over_without_a_word(string name)
    {
        string other = $"<x:tiering xmlns:x='{name}' dram='16MiB'/><y:tiering xmlns:y='urn:other' dram='16MiB'/>";
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        domain.Metadata = other;
        await _host.LookAsync();
        Assert.Equal(TieringSettings.Default, _host.Find("web1")!.Settings);
        SettingsProblem problem = Assert.Single(_host.Find("web1")!.SettingsProblems);
        Assert.Equal(("tiering", name), (problem.Attribute, problem.Value));
        Assert.EndsWith("must be 'urn:virttier:tiering:1'", problem.Message, StringComparison.Ordinal);

        domain.Metadata = other + TestDomain.MetadataOf("dram='8MiB'");
        _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        Assert.Equal(SizeSpec.FromBytes(8 << 20), _host.Find("web1")!.Settings.Dram);
        Assert.Empty(_host.Find("web1")!.SettingsProblems);

        domain.Metadata = "<y:tiering xmlns:y='urn:other' dram='16MiB'/>";
        _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        Assert.Empty(_host.Find("web1")!.SettingsProblems);
    }

    [Fact]
    public async Task Bad_settings_from_the_start_are_the_defaults()
    {
        _host.StartDomain("web1", pid: 10).Metadata = TestDomain.MetadataOf("dram='2000'");
        await _host.LookAsync();

        Assert.Equal(TieringSettings.Default, _host.Find("web1")!.Settings);
        Assert.Single(_host.Find("web1")!.SettingsProblems);
    }

    [Fact]
    public async Task One_domain_that_cannot_be_read_hides_no_other_and_is_tried_again()
    {
        FakeDomain sick = _host.StartDomain("sick", pid: 10);
        sick.Readable = false;
        _host.StartDomain("web1", pid: 11);
        await _host.LookAsync();
        Assert.Equal(["web1"], _host.Monitor.Current.Domains.Select(d => d.Name));

        sick.Readable = true;
        await _host.LookAsync();
        Assert.Equal(["sick", "web1"], _host.Monitor.Current.Domains.Select(d => d.Name));
    }

    [Fact]
    public async Task A_migration_out_is_shown_and_its_silent_cancellation_too()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        (domain.JobType, domain.JobOperation) = (2, 5);
        _host.Bus.Raise("org.libvirt", domain.Path, FakeLibvirt.DomainInterface, "MigrationIteration", new("i", 1));
        await _host.LookAsync();
        Assert.True(_host.Find("web1")!.MigratingOut);

        domain.JobType = 0;
        await _host.LookAsync();
        Assert.False(_host.Find("web1")!.MigratingOut);
    }

    /// <summary>virDomainJobOperation of libvirt-domain.h; 11 and 99 are of a libvirt to come, and -1 stands for none.</summary>
    [Theory]
    [InlineData("unnamed", 0, true)]
    [InlineData("start", 1, false)]
    [InlineData("save", 2, true)]
    [InlineData("restore", 3, true)]
    [InlineData("migration in", 4, true)]
    [InlineData("migration out", 5, true)]
    [InlineData("snapshot", 6, true)]
    [InlineData("snapshot revert", 7, true)]
    [InlineData("dump", 8, true)]
    [InlineData("backup", 9, false)]
    [InlineData("snapshot delete", 10, false)]
    [InlineData("unknown", 11, true)]
    [InlineData("unknown", 99, true)]
    [InlineData("no operation", -1, true)]
    public async Task Only_a_job_that_may_copy_memory_counts_and_only_while_it_lasts(
        string what, int operation, bool copiesMemory)
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        domain.JobOperation = operation < 0 ? null : operation;
        // virDomainJobType
        foreach ((int type, bool underWay) in new[] { (0, false), (1, true), (2, true), (3, false), (4, false),
            (5, false), (6, true) })
        {
            domain.JobType = type;
            _host.RaiseMetadataChange(domain);
            await _host.LookAsync();
            await _host.LookAsync();
            Assert.True(_host.Find("web1")!.MigratingOut == (underWay && copiesMemory), $"{what}, job type {type}");
        }

        bool unknown = operation is < 1 or > 10;
        // once a job
        Assert.Equal(unknown ? 2 : 0, _host.Log.Lines.Count(line => line.Contains("not known here", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_migration_that_ends_while_libvirt_is_away_is_over_when_it_is_back()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        (domain.JobType, domain.JobOperation) = (2, 5);
        await _host.LookAsync();
        var service = _host.Bus.Services["org.libvirt"];
        _host.Bus.Services.Remove("org.libvirt");
        domain.JobType = 0;
        await _host.LookAsync();
        Assert.True(_host.Find("web1")!.MigratingOut); // nobody knows better

        _host.Bus.Services["org.libvirt"] = service;
        await _host.LookAsync();
        Assert.False(_host.Find("web1")!.MigratingOut);

        // And one that ends, unseen, while a backup follows it.
        (domain.JobType, domain.JobOperation) = (2, 5);
        _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        Assert.True(_host.Find("web1")!.MigratingOut);
        domain.JobOperation = 9;
        await _host.LookAsync();
        Assert.False(_host.Find("web1")!.MigratingOut);
    }

    [Fact]
    public async Task A_job_that_libvirt_cannot_tell_of_just_now_goes_on_and_one_that_it_never_told_of_is_none()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        (domain.JobType, domain.JobOperation) = (2, 8);
        _host.Instead = call => call.Member == "GetJobStats" ? throw new BusException("org.libvirt.Error",
            "Timed out during operation: cannot acquire state change lock") : null;
        await _host.LookAsync();
        Assert.False(_host.Find("web1")!.MigratingOut);

        var busy = _host.Instead;
        _host.Instead = _ => null;
        _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        Assert.True(_host.Find("web1")!.MigratingOut);
        _host.Instead = busy;
        _host.RaiseMetadataChange(domain);
        await _host.LookAsync();
        Assert.True(_host.Find("web1")!.MigratingOut);

        _host.Instead = _ => null;
        domain.JobType = 0;
        await _host.LookAsync();
        Assert.False(_host.Find("web1")!.MigratingOut);
    }

    [Fact]
    public async Task An_inflated_balloon_leaves_less_memory()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        Assert.Equal(64ul << 20, _host.Find("web1")!.CurrentMemoryBytes);
        domain.CurrentMemoryMiB = 32;
        _host.Bus.Raise("org.libvirt", domain.Path, FakeLibvirt.DomainInterface, "BalloonChange", new("t", 32ul << 10));
        await _host.LookAsync();
        Assert.Equal(32ul << 20, _host.Find("web1")!.CurrentMemoryBytes);
        Assert.Equal(64ul << 20, _host.Find("web1")!.MemoryBytes);
    }

    [Fact]
    public async Task A_restarted_libvirt_dbus_or_libvirtd_has_everything_read_again()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        _host.Processes[5] = (1, ["libvirtd"]);
        _host.LockHolders["/run/driver.pid"] = 5;
        await _host.LookAsync();

        domain.Metadata = TestDomain.MetadataOf("shares='7'");
        _host.Bus.Raise(
            "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameOwnerChanged", new("sss", "org.libvirt", ":1", ":2"));
        await _host.LookAsync();
        Assert.Equal(7, _host.Find("web1")!.Settings.Shares);

        domain.Metadata = TestDomain.MetadataOf("shares='8'");
        _host.Processes[6] = (2, ["libvirtd"]);
        _host.LockHolders["/run/driver.pid"] = 6;
        await _host.LookAsync();
        Assert.Equal(8, _host.Find("web1")!.Settings.Shares);
    }

    [Fact]
    public async Task While_libvirt_dbus_is_away_domains_stay_until_their_process_ends()
    {
        _host.StartDomain("stays", pid: 10);
        _host.StartDomain("ends", pid: 11);
        await _host.LookAsync();
        var service = _host.Bus.Services["org.libvirt"];
        _host.Bus.Services.Remove("org.libvirt");
        await _host.LookAsync();
        Assert.Equal(LibvirtLink.Waiting("libvirt-dbus is not running"), _host.Monitor.Current.Link);
        Assert.Equal(2, _host.Monitor.Current.Domains.Count);

        _host.EndProcess(11);
        await _host.LookAsync();
        Assert.Equal(["stays"], _host.Monitor.Current.Domains.Select(d => d.Name));
        Assert.Single(_host.Log.LinesFrom(LogLevel.Warning), line => line == "libvirt-dbus is not running: waiting");

        _host.Domains[0].Metadata = TestDomain.MetadataOf("shares='7'");
        _host.Bus.Services["org.libvirt"] = service;
        await _host.LookAsync();
        Assert.True(_host.Monitor.Current.Link.Connected);
        Assert.Equal(7, _host.Find("stays")!.Settings.Shares);
    }

    [Fact]
    public async Task A_lost_bus_is_a_state_with_its_reason()
    {
        _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        _host.Bus.State = new BusState(false, "the bus at X is not reachable");
        await _host.LookAsync();

        Assert.Equal(LibvirtLink.Waiting("the bus at X is not reachable"), _host.Monitor.Current.Link);
        Assert.NotNull(_host.Find("web1"));
    }

    [Fact]
    public async Task A_domain_that_blocks_libvirt_is_left_alone_and_hides_no_other()
    {
        FakeDomain stuck = _host.StartDomain("stuck", pid: 10);
        FakeDomain other = _host.StartDomain("web1", pid: 11);
        await _host.LookAsync();
        TaskCompletionSource block = new();
        stuck.Block = block.Task;
        _host.RaiseMetadataChange(stuck);
        Task look = _host.LookAsync();
        _host.Time.Advance(new DomainMonitorOptions().CallTimeout);
        await look;

        _host.Bus.Calls.Clear();
        other.Metadata = TestDomain.MetadataOf("shares='7'");
        _host.RaiseMetadataChange(other);
        await _host.LookAsync();
        Assert.Equal(7, _host.Find("web1")!.Settings.Shares);
        Assert.True(_host.Monitor.Current.Link.Connected);
        Assert.DoesNotContain(_host.Bus.Calls, call => call.Path == stuck.Path);

        stuck.Metadata = TestDomain.MetadataOf("shares='8'");
        block.SetResult();
        await _host.LookAsync();
        Assert.Equal(8, _host.Find("stuck")!.Settings.Shares);
    }

    [Fact]
    public async Task A_blocked_libvirt_is_asked_once_and_then_left_alone_until_it_answers()
    {
        _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        TaskCompletionSource block = new();
        _host.LibvirtBlock = block.Task;
        _host.Bus.Calls.Clear();
        for (int i = 0; i < 5; i++)
        {
            Task look = _host.LookAsync();
            _host.Time.Advance(new DomainMonitorOptions().CallTimeout);
            await look;
        }

        Assert.Single(_host.Bus.Calls, call => call.Destination == "org.libvirt");
        Assert.Contains("does not answer", _host.Monitor.Current.Link.Reason, StringComparison.Ordinal);
        Assert.NotNull(_host.Find("web1")!.Process);
        Assert.Single(_host.Log.Lines, line => line.Contains("waiting", StringComparison.Ordinal));

        _host.LibvirtBlock = Task.CompletedTask;
        block.SetResult();
        await _host.LookAsync();
        Assert.True(_host.Monitor.Current.Link.Connected);
    }

    [Fact]
    public async Task A_version_is_counted_only_when_something_changed_and_wakes_the_waiting()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        long version = _host.Monitor.Current.Version;
        Task<DomainSnapshot> wait = _host.Monitor.WaitForChangeAsync(version, TestContext.Current.CancellationToken);
        await _host.LookAsync();
        Assert.Equal(version, _host.Monitor.Current.Version);
        Assert.False(wait.IsCompleted);

        domain.State = 3;
        await _host.LookAsync();
        Assert.Equal(DomainState.Paused, Assert.Single((await wait).Domains).State);
    }

    [Fact]
    public void Disposing_ends_every_subscription()
    {
        Assert.NotEqual(0, _host.Bus.SubscriptionCount);
        _host.Monitor.Dispose();
        Assert.Equal(0, _host.Bus.SubscriptionCount);
    }
}
