// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>libvirt's files are read as they are, and what is wrong with one is no matter of the others.</summary>
public sealed class FileSourceTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("vt-files-").FullName;
    private readonly FakeLibvirt _host = new();
    private readonly DomainMonitor _monitor;

    public FileSourceTests()
    {
        _monitor = Monitor(LibvirtSource.Files);
        _host.Processes[5] = (1, ["libvirtd"]);
        _host.LockHolders[At("driver.pid")] = 5;
    }

    public void Dispose()
    {
        _monitor.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task What_libvirt_wrote_is_the_picture()
    {
        FakeDomain domain = Start("web1", 10);
        Write(domain, "state='paused'", "<job type='none' async='migration out' phase='perform3'/>", "dram='50%'");
        await LookAsync();

        RunningDomain found = Assert.Single(_monitor.Current.Domains);
        Assert.Equal(("web1", domain.Uuid, new ProcessIdentity(10, 1010)), (found.Name, found.Uuid, found.Process));
        Assert.Equal((DomainState.Paused, true, 64ul << 20), (found.State, found.MigratingOut, found.MemoryBytes));
        Assert.Equal(SizeSpec.FromPercent(50), found.Settings.Dram);
        Assert.Equal((LibvirtLink.Up, LibvirtSource.Files), (_monitor.Current.Link, _monitor.Current.Source));
    }

    [Theory]
    [InlineData("running", DomainState.Running)]
    [InlineData("blocked", DomainState.Running)]
    [InlineData("paused", DomainState.Paused)]
    [InlineData("shutdown", DomainState.ShuttingDown)]
    [InlineData("crashed", DomainState.Crashed)]
    [InlineData("pmsuspended", DomainState.Asleep)]
    [InlineData("no such", DomainState.Unknown)]
    internal async Task A_state_is_that_of_libvirt(string written, DomainState state)
    {
        Write(Start("web1", 10), $"state='{written}'");
        await LookAsync();
        Assert.Equal(state, Assert.Single(_monitor.Current.Domains).State);
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("<job type='modify' async='none'/>", false)]
    [InlineData("<job async='start'/>", false)]
    [InlineData("<job async='backup'/>", false)]
    [InlineData("<job async='save'/>", true)]
    [InlineData("<job async='dump'/>", true)]
    [InlineData("<job async='snapshot'/>", true)]
    [InlineData("<job async='migration in'/>", true)]
    [InlineData("<job async='of the future'/>", true)]
    public async Task A_job_that_may_copy_memory_is_known(string job, bool copies)
    {
        Write(Start("web1", 10), "state='running'", job);
        await LookAsync();
        Assert.Equal(copies, Assert.Single(_monitor.Current.Domains).MigratingOut);
    }

    [Fact]
    public async Task A_file_whose_lock_nobody_holds_is_of_no_domain()
    {
        Write(Start("stale", 10));
        _host.EndProcess(10);
        Write(Start("web1", 11));
        await LookAsync();
        Assert.Equal("web1", Assert.Single(_monitor.Current.Domains).Name);
    }

    [Fact]
    public async Task A_domain_whose_process_ends_is_gone_before_libvirt_says_so()
    {
        Write(Start("web1", 10));
        await LookAsync();
        _host.LockHolders.Clear(); // which the next look would see
        _host.EndProcess(10);
        await LookAsync();
        Assert.Empty(_monitor.Current.Domains);
        Assert.Equal(0, _host.WatchCount);
    }

    [Fact]
    public async Task Another_run_has_its_own_process_and_settings()
    {
        FakeDomain domain = Start("web1", 10);
        Write(domain, metadata: "shares='7'");
        await LookAsync();
        _host.EndProcess(10);
        domain.RunId = 2;
        _host.StartProcess(domain, 11);
        _host.LockHolders[At("web1.pid")] = 11;
        Write(domain, metadata: "shares='8'");
        await LookAsync();

        RunningDomain found = Assert.Single(_monitor.Current.Domains);
        Assert.Equal((11, 8), (found.Process!.Value.Pid, found.Settings.Shares));
    }

    [Fact]
    public async Task A_change_that_no_hint_told_of_is_seen_at_the_next_look()
    {
        FakeDomain domain = Start("web1", 10);
        Write(domain, metadata: "shares='7'");
        await LookAsync();
        Write(domain, metadata: "shares='11'");
        await LookAsync();
        Assert.Equal(11, Assert.Single(_monitor.Current.Domains).Settings.Shares);
    }

    [Theory]
    [InlineData("<domstatus state='running'/>", "it has no <domain>")]
    [InlineData("<domain/>", "it starts with <domain> and not with <domstatus>")]
    [InlineData("<domstatus state='running'><domain id='1'>", "it cannot be read")]
    [InlineData("<!DOCTYPE d [<!ENTITY a 'b'>]><domstatus>&a;</domstatus>", "it cannot be read")]
    [InlineData("", "it cannot be read")]
    [InlineData(null, "another name, 'other'")]
    public async Task A_bad_file_costs_one_line_and_no_other_domain_anything(string? text, string problem)
    {
        FakeDomain bad = Start("bad", 10);
        Write(Start("web1", 11));
        await File.WriteAllTextAsync(At("bad.xml"), text ?? Status(new FakeDomain("other")),
            TestContext.Current.CancellationToken);
        await LookAsync();
        await LookAsync();
        Assert.Equal("web1", Assert.Single(_monitor.Current.Domains).Name);
        Assert.Single(_host.Log.Lines, line => line.Contains("bad.xml", StringComparison.Ordinal)
            && line.Contains(problem, StringComparison.Ordinal));

        Write(bad); // libvirt mends it
        await LookAsync();
        Assert.Equal(2, _monitor.Current.Domains.Count);
    }

    [Fact]
    public async Task What_turns_bad_leaves_the_domain_as_it_was_and_says_so()
    {
        Write(Start("web1", 10), metadata: "shares='7'");
        await LookAsync();
        await File.WriteAllTextAsync(At("web1.xml"), "<domstatus>", TestContext.Current.CancellationToken);
        await LookAsync();
        RunningDomain found = Assert.Single(_monitor.Current.Domains);
        Assert.Equal((7, 10), (found.Settings.Shares, found.Process!.Value.Pid));
        Assert.Contains("cannot be read", Assert.Single(found.SettingsProblems).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_link_a_pipe_a_directory_and_a_file_without_end_are_refused()
    {
        foreach (string name in (string[])["link", "pipe", "folder", "huge"])
            Start(name, 10 + name.Length);
        string elsewhere = At("elsewhere");
        await File.WriteAllTextAsync(elsewhere, Status(new FakeDomain("link")), TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(At("link.xml"), elsewhere);
        using (var make = System.Diagnostics.Process.Start("mkfifo", [At("pipe.xml")]))
            await make.WaitForExitAsync(TestContext.Current.CancellationToken);
        Directory.CreateDirectory(At("folder.xml"));
        await using (FileStream huge = File.Create(At("huge.xml")))
            huge.SetLength(1L << 40); // sparse
        Write(Start("web1", 30));

        await LookAsync();
        await LookAsync();
        Assert.Equal("web1", Assert.Single(_monitor.Current.Domains).Name);
        foreach (string name in (string[])["link", "pipe", "huge"])
            Assert.Single(_host.Log.Lines, line => line.Contains($"/{name}.xml", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_process_that_is_not_the_domains_is_not_taken_for_it()
    {
        FakeDomain domain = Start("web1", 10);
        Write(domain);
        _host.Processes[10] = (1010, ["qemu-system-x86_64", "-uuid", Guid.NewGuid().ToString()]);
        await LookAsync();
        RunningDomain found = Assert.Single(_monitor.Current.Domains);
        Assert.Null(found.Process);
        Assert.Contains("process 10 has not become", found.ProcessProblem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_the_daemon_the_domains_stay_and_it_is_said()
    {
        Write(Start("web1", 10));
        _host.LockHolders.Remove(At("driver.pid"));
        await LookAsync();
        Assert.Single(_monitor.Current.Domains);
        Assert.StartsWith("neither libvirtd nor virtqemud runs", _monitor.Current.Link.Reason, StringComparison.Ordinal);

        _host.EndProcess(10); // a daemon without domains may have ended until it is needed
        await LookAsync();
        Assert.True(_monitor.Current.Link.Connected);
    }

    [Fact]
    public async Task By_itself_it_uses_the_files_exactly_while_there_is_no_libvirt_dbus()
    {
        using DomainMonitor monitor = Monitor(LibvirtSource.Auto);
        FakeDomain domain = Start("web1", 10);
        Write(domain);
        _host.Domains.Add(domain);
        await monitor.LookAsync(TestContext.Current.CancellationToken);
        Assert.Equal(LibvirtSource.DBus, monitor.Current.Source);
        RunningDomain overDBus = Assert.Single(monitor.Current.Domains);

        var service = _host.Bus.Services["org.libvirt"];
        _host.Bus.Services.Remove("org.libvirt");
        await monitor.LookAsync(TestContext.Current.CancellationToken);
        Assert.Equal((LibvirtSource.Files, LibvirtLink.Up), (monitor.Current.Source, monitor.Current.Link));
        Assert.Equal(overDBus, Assert.Single(monitor.Current.Domains));

        _host.Bus.Services["org.libvirt"] = service;
        await monitor.LookAsync(TestContext.Current.CancellationToken);
        Assert.Equal(LibvirtSource.DBus, monitor.Current.Source);
        Assert.Equal(overDBus, Assert.Single(monitor.Current.Domains));

        _host.Instead = _ => Task.FromException<DBus.BusBody>(new DBus.BusException("org.libvirt.Error", "libvirtd is away"));
        await monitor.LookAsync(TestContext.Current.CancellationToken); // it is there, and has something to say
        Assert.Equal(LibvirtSource.DBus, monitor.Current.Source);
        Assert.Contains("libvirt's daemon does not answer", monitor.Current.Link.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task With_neither_both_are_named()
    {
        _host.Bus.Services.Remove("org.libvirt");
        using DomainMonitor monitor = Monitor(LibvirtSource.Auto, "/nonexistent/qemu");
        await monitor.LookAsync(TestContext.Current.CancellationToken);
        Assert.Equal("libvirt-dbus is not running, and there is no /nonexistent/qemu: libvirt's QEMU driver does not run",
            monitor.Current.Link.Reason);
    }

    private DomainMonitor Monitor(LibvirtSource source, string? directory = null) => new(_host.Bus, _host,
        new DomainMonitorOptions { Source = source, RunDirectory = directory ?? _directory }, _host.Time, _host.Log);

    private Task LookAsync() => _monitor.LookAsync(TestContext.Current.CancellationToken);

    private string At(string file) => Path.Combine(_directory, file);

    private FakeDomain Start(string name, int pid)
    {
        FakeDomain domain = new(name);
        _host.StartProcess(domain, pid);
        _host.LockHolders[At(name + ".pid")] = pid;
        return domain;
    }

    private static string Status(FakeDomain domain, string state = "state='running'", string job = "") =>
        $"<!-- written by libvirt -->\n<domstatus {state} reason='booted' pid='1'>\n  <taint flag='x'/>\n  {job}\n"
            + $"  <devices><device alias='x'/></devices>\n{domain.ToXml()}\n</domstatus>\n";

    /// <summary>As libvirt does: a new file, which takes the place of the old one.</summary>
    private void Write(FakeDomain domain, string state = "state='running'", string job = "", string metadata = "")
    {
        domain.Metadata = metadata.Length > 0 ? TestDomain.MetadataOf(metadata) : "";
        string file = At(domain.Name + ".xml");
        File.WriteAllText(file + ".new", Status(domain, state, job));
        File.Move(file + ".new", file, overwrite: true);
    }
}
