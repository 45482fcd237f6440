// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>A domain is never given a process that is not surely its own.</summary>
public sealed class DomainProcessTests
{
    private readonly FakeLibvirt _host = new();

    [Fact]
    public async Task A_stale_pid_file_has_no_lock_and_gives_no_process()
    {
        _host.StartDomain("web1", pid: 10);
        _host.LockHolders.Clear();
        await _host.LookAsync();

        Assert.Null(_host.Find("web1")!.Process);
        Assert.Contains("/run/web1.pid", _host.Find("web1")!.ProcessProblem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_pid_file_machineds_leader_is_the_process()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        _host.LockHolders.Clear();
        _host.StartMachined((domain.Uuid, 10));
        await _host.LookAsync();

        Assert.Equal(10, _host.Find("web1")!.Process?.Pid);
    }

    [Fact]
    public async Task A_leader_that_has_not_become_qemu_yet_is_waited_for()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        string[] qemu = _host.Processes[10].Arguments;
        _host.Processes[10] = (1010, ["/usr/sbin/libvirtd"]);
        _host.StartMachined((domain.Uuid, 10));
        await _host.LookAsync();
        Assert.Null(_host.Find("web1")!.Process);
        Assert.Equal("process 10 has not become the domain's QEMU yet", _host.Find("web1")!.ProcessProblem);

        _host.Processes[10] = (1010, qemu);
        await _host.LookAsync();
        Assert.Equal(new ProcessIdentity(10, 1010), _host.Find("web1")!.Process);
    }

    [Fact]
    public async Task A_pid_that_now_runs_another_domain_is_not_taken()
    {
        _host.StartDomain("web1", pid: 10);
        _host.StartDomain("web2", pid: 11);
        _host.LockHolders["/run/web1.pid"] = 11;
        await _host.LookAsync();

        Assert.Null(_host.Find("web1")!.Process);
        Assert.Equal(11, _host.Find("web2")!.Process?.Pid);
    }

    [Fact]
    public async Task Sources_that_contradict_each_other_give_no_process()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        _host.StartMachined((domain.Uuid, 99));
        await _host.LookAsync();

        Assert.Null(_host.Find("web1")!.Process);
        Assert.Contains("machined names process 99", _host.Find("web1")!.ProcessProblem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_machine_that_lingers_from_the_last_run_does_not_hide_the_new_one()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        _host.StartMachined((domain.Uuid, 9), (domain.Uuid, 10));
        await _host.LookAsync();

        Assert.Equal(10, _host.Find("web1")!.Process?.Pid);
    }

    [Fact]
    public async Task A_reused_pid_is_another_process()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        domain.Metadata = TestDomain.MetadataOf("shares='7'");
        string[] arguments = _host.Processes[10].Arguments;
        _host.EndProcess(10);
        _host.Processes[10] = (2000, arguments);
        _host.LockHolders["/run/web1.pid"] = 10;
        await _host.LookAsync();

        Assert.Equal(new ProcessIdentity(10, 2000), _host.Find("web1")!.Process);
        Assert.Equal(7, _host.Find("web1")!.Settings.Shares); // a new run may come with a new definition
    }

    [Fact]
    public async Task The_end_of_a_process_that_cannot_be_watched_is_seen_at_the_next_look()
    {
        _host.CanWatch = false;
        _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        Assert.NotNull(_host.Find("web1")!.Process);
        _host.EndProcess(10);
        await _host.LookAsync();
        Assert.Null(_host.Find("web1"));
    }

    [Fact]
    public async Task The_end_of_a_process_is_told_even_while_libvirt_is_blocked()
    {
        _host.StartDomain("web1", pid: 10);
        await _host.LookAsync();
        _host.LibvirtBlock = new TaskCompletionSource().Task;
        _host.EndProcess(10);
        Task look = _host.LookAsync();

        Assert.False(look.IsCompleted);
        Assert.Null(_host.Find("web1"));
        _host.Time.Advance(new DomainMonitorOptions().CallTimeout);
        await look;
    }

    [Fact]
    public async Task A_silent_machined_is_asked_once_in_a_while_and_holds_up_nothing()
    {
        FakeDomain domain = _host.StartDomain("web1", pid: 10);
        _host.LockHolders.Clear();
        await _host.LookAsync(); // there is no machined
        await _host.LookAsync();
        Assert.Equal(1, _host.CountCalls("ListMachines"));

        _host.StartMachined((domain.Uuid, 10));
        _host.Time.Advance(TimeSpan.FromSeconds(30));
        await _host.LookAsync();
        Assert.Equal(10, _host.Find("web1")!.Process?.Pid);
    }
}
