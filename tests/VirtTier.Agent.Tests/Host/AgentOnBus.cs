// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Metrics;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// The agent's object on a bus of the test's own, whose policy is that of a system bus with the packaged files included.
/// The agent knows one domain, web1.
/// </summary>
public abstract class AgentOnBus : IAsyncLifetime
{
    // The exporter's user exists where its package is installed; this one exists on every Debian and stands in for it.
    private protected const string ExporterUser = "daemon";
    private protected const string AgentUser = "bin";

    private Daemon _daemon = null!;
    private AgentObject _object = null!;

    private protected string Folder { get; } = Directory.CreateTempSubdirectory("vt-").FullName;

    private protected string Address => "unix:path=" + Socket;

    private protected SystemBus Bus { get; private set; } = null!;

    private protected HookListener Hook { get; private set; } = null!;

    private protected AgentStatus Status { get; set; } = SampleStatus.Of("web1");

    /// <summary>What was recorded of web1: nothing, as long as no test does.</summary>
    private protected Fakes.SamplePictures Pictures { get; } = new();

    /// <summary>The curve of web1; null while too little is known of it.</summary>
    private protected DramCurve? Curve { get; set; }

    /// <summary>What is wrong with the configuration; null when nothing is.</summary>
    private protected Exception? ReloadError { get; set; }

    private protected int Reloads { get; private set; }

    private string Socket => Path.Combine(Folder, "bus");

    public virtual async ValueTask InitializeAsync()
    {
        HostRing.RequireRoot();
        HostRing.RequirePrograms("dbus-daemon", "busctl", "setpriv");
        File.SetUnixFileMode(Folder, (UnixFileMode)0b111_101_101);
        string packaging = Path.Combine(Repository.Root, "packaging");
        string exporter = await File.ReadAllTextAsync(
            Path.Combine(packaging, "org.virttier.Exporter.conf"), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(
            Path.Combine(Folder, "exporter.conf"),
            exporter.Replace("user=\"virttier-exporter\"", $"user=\"{ExporterUser}\"", StringComparison.Ordinal),
            TestContext.Current.CancellationToken);
        string agent = await File.ReadAllTextAsync(
            Path.Combine(packaging, "org.virttier.Agent1.conf"), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(
            Path.Combine(Folder, "agent.conf"),
            agent.Replace("user=\"virttier\"", $"user=\"{AgentUser}\"", StringComparison.Ordinal),
            TestContext.Current.CancellationToken);
        // The default policy is that of /usr/share/dbus-1/system.conf.
        await File.WriteAllTextAsync(Path.Combine(Folder, "bus.conf"), $"""
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
              <policy user="root"><allow own="org.libvirt"/></policy>
              <include>{Path.Combine(Folder, "agent.conf")}</include>
              <include>{Path.Combine(Folder, "exporter.conf")}</include>
            </busconfig>
            """, TestContext.Current.CancellationToken);
        _daemon = Daemon.Start(Path.Combine(Folder, "dbus.log"), new Dictionary<string, string>(),
            "dbus-daemon", "--config-file=" + Path.Combine(Folder, "bus.conf"), "--nofork", "--nopidfile");
        await Eventually.IsTrue(() => PrivateBus.Listens(Socket), () => File.ReadAllText(Path.Combine(Folder, "dbus.log")));

        Bus = new SystemBus(NullLogger.Instance, Address);
        PoolPromises nothingLeft = new(0, new Dictionary<DomainKey, long>(), new AgentConfig());
        AdmissionControl admission = new(() => nothingLeft, TimeProvider.System);
        Hook = new HookListener(admission, () => { }, TimeProvider.System, NullLogger.Instance);
        _object = new AgentObject(
            Bus, () => Status, domain => domain == Status.Domains[0].Key ? Curve : null, Pictures.Shown, Hook, () =>
            {
                Reloads++;
                return ReloadError is null ? Task.CompletedTask : Task.FromException(ReloadError);
            });
        await Eventually.IsTrue(
            async () => (await BusctlAsync([], "call", "GetStatus")).ExitCode == 0, () => "the agent does not get its name");
    }

    public virtual async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        _object?.Dispose();
        Hook?.Dispose();
        if (Bus is not null)
            await Bus.DisposeAsync();
        _daemon?.Dispose();
        Directory.Delete(Folder, recursive: true);
    }

    /// <summary>The agent is gone from the bus.</summary>
    private protected async Task StopAgentAsync()
    {
        _object.Dispose();
        await Bus.DisposeAsync();
        await Eventually.IsTrue(
            async () => (await BusctlAsync([], "call", "GetStatus")).ExitCode != 0, () => "the agent keeps its name");
    }

    /// <summary>Calls the agent with busctl.</summary>
    /// <param name="user">The command that busctl is run by, as another user; empty for root.</param>
    /// <param name="verb">busctl's.</param>
    /// <param name="call">The method and its arguments.</param>
    private protected Task<(int ExitCode, string Output, string Errors)> BusctlAsync(
        string[] user, string verb, params string[] call)
    {
        string[] @interface = verb == "call" ? ["org.virttier.Agent1"] : [];
        return RunAsync([
            .. user, "busctl", "--address=" + Address, verb, "org.virttier.Agent1", "/org/virttier/Agent1",
            .. @interface, .. call]);
    }

    /// <summary>Runs a program, with this bus as the system's.</summary>
    private protected async Task<(int ExitCode, string Output, string Errors)> RunAsync(string[] command)
    {
        ProcessStartInfo start = new(command[0], command[1..])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["DBUS_SYSTEM_BUS_ADDRESS"] = Address },
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, output, await errors);
    }
}
