// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>
/// Whatever is wrong with one domain, in every step of its life: the others come, change, pause and go as if it were not there,
/// and it is right
/// itself as soon as the fault is over.
/// </summary>
public sealed class OneBadDomainTests
{
    private const string Evil = "\u001b[2J\n<&\0\ud800";
    private readonly FakeLibvirt _host = new();

    /// <summary>Calls about one domain, and what becomes of them.</summary>
    public static TheoryData<string, string> CallFaults
    {
        get
        {
            TheoryData<string, string> faults = [];
            foreach (string member in new[] { "GetXMLDesc", "GetJobStats" })
            {
                foreach (string fault in s_faults.Keys)
                    faults.Add(member, fault);
                faults.Add(member, "hang");
            }

            return faults;
        }
    }

    private static readonly Dictionary<string, Func<Task<BusBody>>> s_faults = new()
    {
        ["error of libvirt"] = () => throw new BusException("org.libvirt.Error", "internal error: " + Evil),
        ["no reply"] = () => throw new BusException(BusException.NoReply, "gone"),
        ["unexpected exception"] = () => throw new InvalidOperationException(Evil),
        ["unexpected exception, later"] = () => Task.FromException<BusBody>(new InvalidCastException(Evil)),
        ["time-out"] = () => throw new TimeoutException(),
        ["cancelled by somebody else"] = () => throw new OperationCanceledException(),
        ["nothing"] = () => Task.FromResult(BusBody.Empty),
        ["null"] = () => Task.FromResult<BusBody>(null!),
        ["another type"] = () => Task.FromResult(new BusBody("u", 7u)),
        ["empty struct"] = () => Task.FromResult(new BusBody("()", new object[] { Array.Empty<object>() })),
        ["struct of other types"] = () =>
            Task.FromResult(new BusBody("(sa{sv})", new object[] { new object[] { "x", new Dictionary<string, object>() } })),
        ["operation of another type"] = () => Task.FromResult(new BusBody(
            "(ia{sv})", new object[] { new object[] { 0, new Dictionary<string, object> { ["operation"] = "x" } } })),
        ["no XML"] = () => Task.FromResult(new BusBody("s", Evil)),
        ["empty string"] = () => Task.FromResult(new BusBody("s", "")),
        ["XML without an end"] = () => Task.FromResult(new BusBody("s", string.Concat(Enumerable.Repeat("<domain>", 100_000)))),
    };

    [Theory]
    [MemberData(nameof(CallFaults))]
    public async Task A_call_about_it_fails(string member, string fault)
    {
        foreach (bool isKnown in new[] { false, true })
        {
            FakeLibvirt host = new();
            FakeDomain bad = host.StartDomain("bad", pid: 10);
            TaskCompletionSource<BusBody> hang = new();
            Task<BusBody>? Fail(BusCall call) => call.Path != bad.Path || call.Member != member ? null
                : fault == "hang" ? hang.Task : s_faults[fault]();
            if (isKnown)
                await host.LookAsync();
            host.Instead = Fail;
            await AssertOthersGoOnAsync(host, bad);
            Assert.True(!isKnown || host.Find("bad")!.Process is not null);

            host.Instead = _ => null;
            hang.TrySetException(new BusException(BusException.NoReply, "gone"));
            await AssertIsWellAsync(host, bad);
        }
    }

    [Theory]
    [InlineData("FindLockHolder", false)]
    [InlineData("Identify", false)]
    [InlineData("ReadCommandLine", false)]
    [InlineData("WatchEnd", false)]
    [InlineData("Identify", true)]
    [InlineData("WatchEnd", true)]
    public async Task The_kernel_fails_over_its_process(string question, bool hadProcess)
    {
        FakeDomain bad = _host.StartDomain("bad", pid: 10);
        if (hadProcess)
        {
            await _host.LookAsync();
            _host.EndProcess(10);
            bad.RunId++;
            _host.StartProcess(bad, pid: 10);
        }

        _host.Asked = (asked, subject) =>
        {
            if (asked == question && subject is 10 or "/run/bad.pid")
                throw new InvalidOperationException(Evil);
        };
        await AssertOthersGoOnAsync(_host, bad);
        Assert.Null(_host.Find("bad")?.Process);

        _host.Asked = (_, _) => { };
        await AssertIsWellAsync(_host, bad);
    }

    public static TheoryData<string> MachineFaults => [.. s_faults.Keys];

    [Theory]
    [MemberData(nameof(MachineFaults))]
    public async Task Machined_fails_over_its_machine(string fault)
    {
        FakeDomain bad = _host.StartDomain("bad", pid: 10), good = _host.StartDomain("good", pid: 11);
        _host.LockHolders.Clear();
        _host.StartMachined((bad.Uuid, 10), (good.Uuid, 11));
        var machined = _host.Bus.Services["org.freedesktop.machine1"];
        _host.Bus.Services["org.freedesktop.machine1"] = call => call.Path == "/machine/10" ? s_faults[fault]() : machined(call);
        await _host.LookAsync();
        Assert.Equal(11, _host.Find("good")!.Process?.Pid);
        Assert.Null(_host.Find("bad")!.Process);

        _host.Bus.Services["org.freedesktop.machine1"] = machined;
        _host.Time.Advance(TimeSpan.FromSeconds(30));
        await _host.LookAsync();
        Assert.Equal(10, _host.Find("bad")!.Process?.Pid);
    }

    public static TheoryData<string> EntryFaults => [.. s_entries.Keys];

    private static readonly Dictionary<string, Func<FakeDomain, object>> s_entries = new()
    {
        ["no struct"] = _ => 7u,
        ["empty struct"] = _ => Array.Empty<object>(),
        ["name of another type"] = _ => new object[] { 7u, new Dictionary<string, object>() },
        ["no numbers"] = domain => new object[] { domain.Name, new Dictionary<string, object>() },
        ["state of another type"] =
            domain => new object[] { domain.Name, new Dictionary<string, object> { ["state.state"] = Evil } },
        ["state that there is not"] =
            domain => new object[] { domain.Name, new Dictionary<string, object> { ["state.state"] = 99 } },
        ["null"] = _ => null!,
    };

    [Theory]
    [MemberData(nameof(EntryFaults))]
    public async Task Its_entry_among_the_states_is_garbage(string fault)
    {
        FakeDomain bad = _host.StartDomain("bad", pid: 10);
        _host.Instead = call => call.Member != "GetAllDomainStats" ? null : Task.FromResult(new BusBody("a(sa{sv})", new object[]
        {
            _host.Domains.Select(d => d == bad
                ? s_entries[fault](d)
                : new object[] { d.Name, new Dictionary<string, object> { ["state.state"] = d.State } }).ToArray(),
        }));
        await AssertOthersGoOnAsync(_host, bad);
        _host.Instead = _ => null;
        await AssertIsWellAsync(_host, bad);
    }

    [Theory]
    [InlineData("/org/libvirt/QEMU/domain/_nobody")]
    [InlineData("/")]
    [InlineData("")]
    public async Task The_list_has_what_is_no_domain_or_one_twice(string entry)
    {
        FakeDomain bad = _host.StartDomain("bad", pid: 10);
        _host.Instead = call => call.Member != "ListDomains" ? null
            : Task.FromResult(new BusBody(
                "ao", new object[] { new[] { entry, bad.Path, bad.Path }.Concat(_host.Domains.Select(d => d.Path)).ToArray() }));
        await AssertOthersGoOnAsync(_host, bad);
        _host.Instead = _ => null;
        await AssertIsWellAsync(_host, bad);
    }

    [Theory]
    [InlineData("")]
    [InlineData("../bad")]
    [InlineData("/etc/passwd")]
    [InlineData("-rf *;$(reboot)")]
    [InlineData("good")]
    public async Task Its_name_is_odd(string name)
    {
        FakeDomain bad = _host.StartDomain("bad", pid: 10);
        string xml = bad.ToXml().Replace("<name>bad</name>", $"<name>{name}</name>", StringComparison.Ordinal);
        _host.Instead =
            call => call.Path == bad.Path && call.Member == "GetXMLDesc" ? Task.FromResult(new BusBody("s", xml)) : null;
        await AssertOthersGoOnAsync(_host, bad);
        _host.Instead = _ => null;
        await AssertIsWellAsync(_host, bad);
    }

    [Fact]
    public async Task It_has_the_uuid_of_another()
    {
        FakeDomain bad = _host.StartDomain("bad", pid: 10), original = _host.StartDomain("original", pid: 12);
        string xml = bad.ToXml().Replace(bad.Uuid.ToString(), original.Uuid.ToString(), StringComparison.Ordinal);
        _host.Instead =
            call => call.Path == bad.Path && call.Member == "GetXMLDesc" ? Task.FromResult(new BusBody("s", xml)) : null;
        await AssertOthersGoOnAsync(_host, bad);
        Assert.Equal(12, _host.Find("original")!.Process?.Pid);
        Assert.Null(_host.Find("bad")!.Process); // the process is another one's
        _host.Instead = _ => null;
        await AssertIsWellAsync(_host, bad);
    }

    public static TheoryData<string> EventFaults => [.. s_events.Keys];

    private static readonly Dictionary<string, Action<FakeLibvirt, FakeDomain>> s_events = new()
    {
        ["no arguments"] = (host, bad) =>
            host.Bus.Raise("org.libvirt", "/org/libvirt/QEMU", FakeLibvirt.ConnectInterface, "DomainEvent", BusBody.Empty),
        ["other types"] = (host, bad) =>
            host.Bus.Raise("org.libvirt", "/org/libvirt/QEMU", FakeLibvirt.ConnectInterface, "DomainEvent", new("us", 7u, Evil)),
        ["of no domain"] = (host, bad) =>
            host.Bus.Raise(
                "org.libvirt", "/org/libvirt/QEMU", FakeLibvirt.ConnectInterface, "DomainEvent", new("oii", Evil, 5, 0)),
        ["unknown number"] = (host, bad) => host.RaiseDomainEvent(bad, kind: 99),
        ["stopped, which it has not"] = (host, bad) => host.RaiseDomainEvent(bad, kind: 5),
        ["unknown signal"] =
            (host, bad) => host.Bus.Raise("org.libvirt", bad.Path, FakeLibvirt.DomainInterface, Evil, BusBody.Empty),
    };

    [Theory]
    [MemberData(nameof(EventFaults))]
    public async Task Its_events_are_garbage(string fault)
    {
        FakeDomain bad = _host.StartDomain("bad", pid: 10);
        _host.Underway = call =>
        {
            s_events[fault](_host, bad); // during every call of every look
            return Task.CompletedTask;
        };
        await AssertOthersGoOnAsync(_host, bad);
        _host.Underway = _ => Task.CompletedTask;
        await AssertIsWellAsync(_host, bad);
    }

    [Fact]
    public async Task What_stays_unreadable_is_said_once_and_what_it_was_stays_in_force()
    {
        FakeDomain bad = _host.StartDomain("bad", pid: 10);
        bad.Metadata = TestDomain.MetadataOf("shares='7'");
        await _host.LookAsync();
        _host.Instead =
            call => call.Path == bad.Path && call.Member == "GetXMLDesc" ? Task.FromResult(new BusBody("s", "<domain>")) : null;
        _host.RaiseMetadataChange(bad);
        for (int i = 0; i < 4; i++)
            await _host.LookAsync();
        Assert.Equal(7, _host.Find("bad")!.Settings.Shares);
        Assert.Contains("cannot be read", Assert.Single(_host.Find("bad")!.SettingsProblems).Message, StringComparison.Ordinal);
        Assert.Single(_host.Log.LinesFrom(LogLevel.Warning), line => line.Contains(bad.Path, StringComparison.Ordinal));

        _host.Instead = _ => null; // the very same definition as before
        await _host.LookAsync();
        Assert.Empty(_host.Find("bad")!.SettingsProblems);
    }

    /// <summary>Others start, change, pause, lose their process and stop, while one is bad.</summary>
    private static async Task AssertOthersGoOnAsync(FakeLibvirt host, FakeDomain bad)
    {
        FakeDomain good = host.StartDomain("good", pid: 11);
        host.RaiseMetadataChange(bad);
        await LookAsync(host);
        AssertProcess(host, good, 11);

        good.Metadata = TestDomain.MetadataOf("shares='7'");
        host.RaiseMetadataChange(good);
        host.RaiseMetadataChange(bad);
        good.State = 3;
        FakeDomain later = host.StartDomain("later", pid: 13);
        await LookAsync(host);
        Assert.Equal((7, DomainState.Paused), (Find(host, good)!.Settings.Shares, Find(host, good)!.State));
        AssertProcess(host, later, 13);

        host.RaiseMetadataChange(bad);
        host.EndProcess(13);
        await LookAsync(host);
        Assert.Null(Find(host, later));
        host.Domains.Remove(later);
        good.State = 1;
        await LookAsync(host);
        Assert.Equal(DomainState.Running, Find(host, good)!.State);
        Assert.True(host.Monitor.Current.Link.Connected, host.Monitor.Current.Link.Reason);
        Assert.DoesNotContain(host.Log.Lines, line => line.Contains("A look at the domains failed", StringComparison.Ordinal));
    }

    private static async Task AssertIsWellAsync(FakeLibvirt host, FakeDomain domain)
    {
        host.RaiseMetadataChange(domain);
        await host.LookAsync();
        await host.LookAsync();
        AssertProcess(host, domain, 10);
        Assert.Equal((domain.Name, DomainState.Running), (Find(host, domain)!.Name, Find(host, domain)!.State));
        Assert.Equal(2, host.Monitor.Current.Domains.Count(d => d.Name is "bad" or "good"));
    }

    private static void AssertProcess(FakeLibvirt host, FakeDomain domain, int pid) =>
        Assert.Equal(new ProcessIdentity(pid, FakeLibvirt.StartTimeOf(pid)), Find(host, domain)?.Process);

    private static RunningDomain? Find(FakeLibvirt host, FakeDomain domain) =>
        host.Monitor.Current.Domains.FirstOrDefault(d => d.Uuid == domain.Uuid);

    /// <summary>A look, of which no call that hangs has more than its time.</summary>
    private static async Task LookAsync(FakeLibvirt host)
    {
        Task look = host.LookAsync();
        for (int calls = 0; !look.IsCompleted && calls < 5; calls++)
        {
            host.Time.Advance(new DomainMonitorOptions().CallTimeout);
            await Task.WhenAny(look, Task.Delay(TimeSpan.FromSeconds(1), TestContext.Current.CancellationToken));
        }

        await look.WaitAsync(Eventually.Limit, TestContext.Current.CancellationToken);
    }
}
