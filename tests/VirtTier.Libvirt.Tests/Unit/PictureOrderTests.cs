// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>The picture never goes back: answers of libvirt that arrive after an event, and are of the time before it, change
/// nothing that it has shown.</summary>
public sealed class PictureOrderTests
{
    // virDomainEventType
    private const int Started = 2, Suspended = 3, Resumed = 4, Stopped = 5, ShuttingDown = 6, Asleep = 7, Crashed = 8;
    private readonly FakeLibvirt _host = new();

    /// <summary>Every call of a look, about a domain that is in the picture already, and about one that is not.</summary>
    public static TheoryData<string, bool> Calls
    {
        get
        {
            TheoryData<string, bool> calls = [];
            foreach (string member in new[] { "ListDomains", "GetXMLDesc", "GetJobStats", "GetAllDomainStats" })
            {
                calls.Add(member, true);
                calls.Add(member, false);
            }

            return calls;
        }
    }

    [Theory]
    [MemberData(nameof(Calls))]
    public async Task A_domain_that_stops_during_a_look_is_not_in_its_picture(string call, bool isKnown)
    {
        FakeDomain domain = await StartAsync(isKnown);
        await LookWhileUnderwayAsync(call, () =>
        {
            _host.Domains.Remove(domain);
            _host.RaiseDomainEvent(domain, Stopped); // libvirt says so before the kernel does
        });
        Assert.Null(_host.Find("web1"));
        await AssertStaysGoneAsync(runs: isKnown ? 1 : 0);
    }

    [Theory]
    [MemberData(nameof(Calls))]
    public async Task A_domain_whose_process_ends_during_a_look_is_gone_though_libvirt_has_not_heard_of_it(
        string call, bool isKnown)
    {
        _ = await StartAsync(isKnown);
        await LookWhileUnderwayAsync(call, () => _host.EndProcess(10));
        if (isKnown)
            Assert.Null(_host.Find("web1"));
        await AssertStaysGoneAsync(runs: isKnown ? 1 : 0, shownWithoutProcess: !isKnown);
    }

    [Theory]
    [InlineData(Suspended, 3, DomainState.Paused, DomainState.Running)]
    [InlineData(Resumed, 1, DomainState.Running, DomainState.Paused)]
    [InlineData(ShuttingDown, 4, DomainState.ShuttingDown, DomainState.Running)]
    [InlineData(Asleep, 7, DomainState.Asleep, DomainState.Running)]
    [InlineData(Crashed, 6, DomainState.Crashed, DomainState.Running)]
    public async Task A_state_that_an_event_tells_is_not_undone_by_an_answer_that_was_late(
        int kind, int libvirtState, DomainState state, DomainState before)
    {
        FakeDomain domain = await StartAsync(isKnown: true, state: before == DomainState.Paused ? 3 : 1);
        Assert.Equal(before, _host.Find("web1")!.State);
        foreach (string call in new[] { "ListDomains", "GetXMLDesc", "GetJobStats", "GetAllDomainStats" })
        {
            domain.State = before == DomainState.Paused ? 3 : 1;
            await _host.LookAsync();
            await LookWhileUnderwayAsync(call, () =>
            {
                domain.State = libvirtState;
                _host.RaiseDomainEvent(domain, kind, detail: 1);
            });
            Assert.Equal(state, _host.Find("web1")!.State);
            await _host.LookAsync();
            Assert.Equal(state, _host.Find("web1")!.State);
        }
    }

    [Fact]
    public async Task An_event_is_not_the_last_word_where_libvirt_was_asked_after_it()
    {
        FakeDomain domain = await StartAsync(isKnown: true);
        _host.RaiseDomainEvent(domain, Suspended); // and resumed since, of which the event is still on its way
        await _host.LookAsync();
        Assert.Equal(DomainState.Running, _host.Find("web1")!.State);

        _host.RaiseDomainEvent(domain, Stopped); // and started again
        await _host.LookAsync();
        Assert.NotNull(_host.Find("web1"));
    }

    [Theory]
    [InlineData("ListDomains")]
    [InlineData("GetXMLDesc")]
    [InlineData("GetJobStats")]
    [InlineData("GetAllDomainStats")]
    public async Task Settings_of_the_time_before_a_change_do_not_come_back(string call)
    {
        FakeDomain domain = await StartAsync(isKnown: true);
        List<int?> shares = [];
        for (int i = 1; i <= 3; i++)
        {
            await LookWhileUnderwayAsync(call, () =>
            {
                domain.Metadata = TestDomain.MetadataOf($"shares='{i}'");
                _host.RaiseMetadataChange(domain);
            });
            shares.Add(_host.Find("web1")!.Settings.Shares);
            await _host.LookAsync();
            shares.Add(_host.Find("web1")!.Settings.Shares);
            Assert.Equal(i, shares[^1]);
        }

        Assert.Equal(shares.Order(), shares);
    }

    [Theory]
    [InlineData("ListDomains")]
    [InlineData("GetXMLDesc")]
    [InlineData("GetJobStats")]
    [InlineData("GetAllDomainStats")]
    public async Task Stopped_and_started_during_a_look_it_never_has_its_new_process_with_its_old_settings(string call)
    {
        FakeDomain domain = await StartAsync(isKnown: true);
        await LookWhileUnderwayAsync(call, () => StartAgain(domain));
        Assert.True(_host.Find("web1") is null or { Process: null } or { Process.Pid: 10, Settings.Shares: null }
            or { Process.Pid: 11, Settings.Shares: 7 });
        await _host.LookAsync();
        Assert.Equal((11, 7), (_host.Find("web1")!.Process!.Value.Pid, _host.Find("web1")!.Settings.Shares));
    }

    [Theory]
    [InlineData("GetXMLDesc")]
    [InlineData("GetJobStats")]
    [InlineData("GetAllDomainStats")]
    public async Task Started_again_while_libvirt_is_asked_about_its_end_it_never_has_its_new_process_with_its_old_settings(
        string call)
    {
        FakeDomain domain = await StartAsync(isKnown: true);
        _host.EndProcess(10);
        await LookWhileUnderwayAsync(call, () => StartAgain(domain));
        Assert.True(_host.Find("web1") is null or { Process.Pid: 11, Settings.Shares: 7 });
        await _host.LookAsync();
        Assert.Equal((11, 7), (_host.Find("web1")!.Process!.Value.Pid, _host.Find("web1")!.Settings.Shares));
    }

    [Fact]
    public async Task Its_process_ended_while_libvirt_was_away_it_is_not_taken_up_again_from_the_list_of_one_that_is_back()
    {
        await StartAsync(isKnown: true);
        var service = _host.Bus.Services["org.libvirt"];
        _host.Bus.Services.Remove("org.libvirt");
        _host.EndProcess(10);
        await _host.LookAsync();
        Assert.Null(_host.Find("web1"));
        _host.Bus.Services["org.libvirt"] = service;
        await AssertStaysGoneAsync(runs: 1);
    }

    [Fact]
    public async Task Another_run_of_it_is_shown_though_its_process_cannot_be_found()
    {
        FakeDomain domain = await StartAsync(isKnown: true);
        _host.EndProcess(10);
        await _host.LookAsync();
        Assert.Null(_host.Find("web1"));
        domain.RunId = 2;
        _host.RaiseDomainEvent(domain, Started);
        await _host.LookAsync();
        Assert.NotNull(_host.Find("web1")!.ProcessProblem);
    }

    /// <summary>A libvirtd that is started anew counts from the domains that run.</summary>
    [Fact]
    public async Task Another_run_with_the_number_of_the_last_is_shown_with_its_process()
    {
        FakeDomain domain = await StartAsync(isKnown: true);
        _host.EndProcess(10);
        await _host.LookAsync();
        domain.Metadata = TestDomain.MetadataOf("shares='7'");
        _host.StartProcess(domain, pid: 11);
        await _host.LookAsync();
        Assert.Equal((11, 7), (_host.Find("web1")!.Process!.Value.Pid, _host.Find("web1")!.Settings.Shares));
    }

    /// <summary>Asked for a domain that has just stopped and is defined, libvirt gives the definition from which it would
    /// start.</summary>
    [Fact]
    public async Task The_definition_for_its_next_start_is_not_taken_for_that_of_its_run()
    {
        FakeDomain domain = await StartAsync(isKnown: true);
        await LookWhileUnderwayAsync("ListDomains", () =>
        {
            domain.RunId = null;
            domain.Metadata = TestDomain.MetadataOf("shares='7'");
        });
        Assert.Null(_host.Find("web1")!.Settings.Shares);

        FakeDomain other = _host.StartDomain("web2", pid: 20);
        await LookWhileUnderwayAsync("ListDomains", () => other.RunId = null);
        Assert.Null(_host.Find("web2"));
    }

    [Fact]
    public async Task A_paused_domain_of_which_libvirt_gives_no_state_does_not_run()
    {
        FakeDomain domain = await StartAsync(isKnown: true, state: 3);
        await LookWhileUnderwayAsync("GetJobStats", () => domain.RunId = null); // between the list and the states
        Assert.Equal(DomainState.Paused, _host.Find("web1")!.State);
    }

    [Fact]
    public async Task What_the_log_says_is_in_the_picture_by_then()
    {
        List<(string Line, int Domains)> seen = [];
        _host.Log.Written += line => seen.Add((line, _host.Monitor.Current.Domains.Count));
        FakeDomain domain = await StartAsync(isKnown: true);
        _host.Domains.Remove(domain);
        await _host.LookAsync();
        Assert.Equal([1, 0], seen.Where(s => s.Line.Contains("Domain web1", StringComparison.Ordinal)).Select(s => s.Domains));
    }

    private async Task<FakeDomain> StartAsync(bool isKnown, int state = 1)
    {
        if (!isKnown)
            await _host.LookAsync();
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        domain.State = state;
        if (isKnown)
            await _host.LookAsync();
        return domain;
    }

    private void StartAgain(FakeDomain domain)
    {
        _host.EndProcess(10);
        _host.RaiseDomainEvent(domain, Stopped);
        domain.RunId++;
        domain.Metadata = TestDomain.MetadataOf("shares='7'");
        _host.StartProcess(domain, pid: 11);
        _host.RaiseDomainEvent(domain, Resumed);
        _host.RaiseDomainEvent(domain, Started);
    }

    /// <summary>A look in which something happens after libvirt has given an answer, and before that arrives.</summary>
    private async Task LookWhileUnderwayAsync(string member, Action happens)
    {
        foreach (FakeDomain domain in _host.Domains)
            _host.RaiseMetadataChange(domain); // has all calls made
        TaskCompletionSource arrives = new();
        _host.Underway = call => call.Member == member ? arrives.Task : Task.CompletedTask;
        Task look = _host.LookAsync();
        Assert.False(look.IsCompleted);
        _host.Underway = _ => Task.CompletedTask;
        happens();
        arrives.SetResult();
        await look;
    }

    private async Task AssertStaysGoneAsync(int runs, bool shownWithoutProcess = false)
    {
        for (int i = 0; i < 3; i++)
        {
            await _host.LookAsync();
            Assert.True(_host.Find("web1") is null || shownWithoutProcess && _host.Find("web1")!.Process is null);
        }

        _host.Domains.Clear();
        await _host.LookAsync();
        Assert.Null(_host.Find("web1"));
        if (!shownWithoutProcess)
            Assert.Equal(runs, _host.Log.Lines.Count(line => line.EndsWith(" runs", StringComparison.Ordinal)));
    }
}
