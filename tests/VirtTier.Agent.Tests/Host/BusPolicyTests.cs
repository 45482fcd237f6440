// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Settings;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Agent.Tests.Host;

/// <summary>Who may call what, with the packaged policy on a bus whose own policy is that of a system bus.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class BusPolicyTests : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("vt-").FullName;
    private Daemon _daemon = null!;
    private SystemBus _bus = null!;
    private AgentObject _object = null!;
    private HookListener _hook = null!;
    private int _reloads;

    private string Socket => Path.Combine(_directory, "bus");

    private string Address => "unix:path=" + Socket;

    public async ValueTask InitializeAsync()
    {
        HostRing.RequireRoot();
        HostRing.RequirePrograms("dbus-daemon", "busctl", "setpriv");
        File.SetUnixFileMode(_directory, (UnixFileMode)0b111_101_101);
        // The default policy is that of /usr/share/dbus-1/system.conf.
        await File.WriteAllTextAsync(Path.Combine(_directory, "bus.conf"), $"""
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig>
              <type>system</type>
              <listen>{Address}</listen>
              <auth>EXTERNAL</auth>
              <policy context="default">
                <allow user="*"/>
                <deny own="*"/>
                <deny send_type="method_call"/>
                <allow send_type="signal"/>
                <allow send_requested_reply="true" send_type="method_return"/>
                <allow send_requested_reply="true" send_type="error"/>
                <allow receive_type="method_call"/>
                <allow receive_type="method_return"/>
                <allow receive_type="error"/>
                <allow receive_type="signal"/>
                <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
                <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
              </policy>
              <include>{Path.Combine(Repository.Root, "packaging", "org.virttier.Agent1.conf")}</include>
            </busconfig>
            """, TestContext.Current.CancellationToken);
        _daemon = Daemon.Start(Path.Combine(_directory, "dbus.log"), new Dictionary<string, string>(),
            "dbus-daemon", "--config-file=" + Path.Combine(_directory, "bus.conf"), "--nofork", "--nopidfile");
        await Eventually.TrueAsync(() => File.Exists(Socket), () => File.ReadAllText(Path.Combine(_directory, "dbus.log")));

        _bus = new SystemBus(NullLogger.Instance, Address);
        AdmissionControl admission = new(
            () => new PoolPromises(0, new Dictionary<Guid, long>(), TieringSettings.Default), TimeProvider.System);
        _hook = new HookListener(admission, () => { }, TimeProvider.System, NullLogger.Instance);
        AgentStatus status = new("1.2.3", 5, new LibvirtStatus(true, null), [], 1 << 20, []);
        _object = new AgentObject(_bus, () => status, _ => null, _hook, () =>
        {
            _reloads++;
            return Task.CompletedTask;
        });
        await Eventually.TrueAsync(
            async () => (await BusctlAsync(Root, "call", "GetStatus")).ExitCode == 0, () => "the agent does not get its name");
    }

    public async ValueTask DisposeAsync()
    {
        _object?.Dispose();
        _hook?.Dispose();
        if (_bus is not null)
            await _bus.DisposeAsync();
        _daemon?.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private static readonly string[] Root = [];
    private static readonly string[] Operator = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", "libvirt"];
    private static readonly string[] Nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"];

    [Theory]
    [InlineData("GetStatus")]
    [InlineData("ListDomains")]
    [InlineData("GetDomain", "s", "web9")]
    [InlineData("GetCurve", "s", "web9")]
    public async Task Operators_may_read_and_others_may_not(params string[] call)
    {
        Assert.DoesNotContain("Access denied", (await BusctlAsync(Root, "call", call)).Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("Access denied", (await BusctlAsync(Operator, "call", call)).Errors, StringComparison.Ordinal);
        Assert.Contains("Access denied", (await BusctlAsync(Nobody, "call", call)).Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Reload")]
    [InlineData("Notify", "sss", "web1", "started", "/x")]
    [InlineData("Admit", "ss", "web1", "/x")]
    public async Task Only_root_may_write(params string[] call)
    {
        Assert.Contains("Access denied", (await BusctlAsync(Operator, "call", call)).Errors, StringComparison.Ordinal);
        Assert.Contains("Access denied", (await BusctlAsync(Nobody, "call", call)).Errors, StringComparison.Ordinal);
        Assert.Equal((0L, 0), (_hook.Calls, _reloads));

        Assert.Equal(0, (await BusctlAsync(Root, "call", call)).ExitCode);
        Assert.Equal(1, _hook.Calls + _reloads);
    }

    [Fact]
    public async Task Busctl_introspect_shows_methods_and_properties_with_their_values()
    {
        (int exitCode, string output, string errors) = await BusctlAsync(Operator, "introspect");

        Assert.True(exitCode == 0, errors);
        foreach (string line in new[] { @"\.ListDomains +method +- +a\(ssss\)", @"\.GetDomain +method +s +s",
            @"\.Reload +method +- +-", "\\.Version +property +s +\"1\\.2\\.3\"", @"\.LibvirtConnected +property +b +true" })
            Assert.Matches(line, output);
    }

    [Fact]
    public async Task Nobody_but_root_may_own_the_name()
    {
        (int exitCode, _, string errors) = await RunAsync(
            [.. Nobody, "busctl", "--address=" + Address, "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                "org.freedesktop.DBus", "RequestName", "su", "org.virttier.Agent1", "2"]);

        Assert.NotEqual(0, exitCode);
        Assert.Contains("Access denied", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Signals_of_others_such_as_libvirts_still_reach_the_agent()
    {
        TaskCompletionSource received = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable subscription =
            _bus.Subscribe("type='signal',interface='org.libvirt.Connect'", _ => received.TrySetResult());

        // More than once: the match rule may still be on its way to the bus.
        await Eventually.TrueAsync(
            async () =>
            {
                await RunAsync([.. Nobody, "busctl", "--address=" + Address, "emit", "/org/libvirt/QEMU", "org.libvirt.Connect",
                    "DomainEvent", "oii", "/x", "2", "0"]);
                return received.Task.IsCompleted;
            },
            () => "no signal has come");
    }

    private Task<(int ExitCode, string Output, string Errors)> BusctlAsync(
        string[] user, string verb, params string[] call) => RunAsync(
        [.. user, "busctl", "--address=" + Address, verb, "org.virttier.Agent1", "/org/virttier/Agent1",
            .. (string[])(verb == "call" ? ["org.virttier.Agent1"] : []), .. call]);

    private static async Task<(int ExitCode, string Output, string Errors)> RunAsync(string[] command)
    {
        ProcessStartInfo start = new(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, output, await errors);
    }
}
