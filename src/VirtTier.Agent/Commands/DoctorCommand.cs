// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Microsoft.Extensions.Logging.Abstractions;
using Spectre.Console;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Doctor;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;
using VirtTier.Memory.Sampling;

namespace VirtTier.Agent.Commands;

/// <summary>
/// <c>virttier doctor</c>: is this host ready, and what mends each thing that is not. It changes nothing, and the agent need not
/// run. The exit status is by the worst <see cref="Severity"/>: 0 ready, 1 warnings, 2 errors.
/// </summary>
internal static class DoctorCommand
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);

    public static Command Create()
    {
        Option<bool> json = new("--json") { Description = "Print one JSON document" };
        Option<string> config = new("--config")
        {
            HelpName = "FILE",
            Description = "Configuration file",
            DefaultValueFactory = _ => AgentConfig.DefaultPath,
        };
        Command command = new("doctor", "Check what VirtTier needs of this host; exit status 0: ready, 1: warnings, 2: errors")
        {
            json, config,
        };
        command.SetAction((result, cancel) => RunAsync(result.GetValue(json), result.GetRequiredValue(config), cancel));
        return command;
    }

    private static async Task<int> RunAsync(bool json, string configPath, CancellationToken cancel)
    {
        DoctorReport report = await LookAsync(configPath, cancel);
        if (json)
            Console.WriteLine(report.ToJson());
        else
            report.WriteTo(AnsiConsole.Console);
        return report.ExitStatus;
    }

    /// <summary>Looks at this host.</summary>
    public static async Task<DoctorReport> LookAsync(string configPath, CancellationToken cancel)
    {
        AgentConfig config = new();
        string? problem = null;
        try
        {
            config = ConfigReader.ReadFile(configPath);
        }
        catch (ConfigException e)
        {
            problem = e.Message;
        }
        await using SystemBus bus = new(NullLogger.Instance);
        DoctorHost host = new(
            "/", bus, new KvmSamplerFactory(), await LookAtDomainsAsync(bus, config, cancel), config,
            Environment.IsPrivilegedProcess);
        return await DoctorReport.MakeAsync(host, problem, cancel);
    }

    /// <summary>The first picture that the agent's own monitors make.</summary>
    private static async Task<DomainSnapshot> LookAtDomainsAsync(IBus bus, AgentConfig config, CancellationToken cancel)
    {
        using LinuxProcesses processes = new();
        DomainMonitorOptions options = new() { Source = config.LibvirtSource };
        using DomainMonitor libvirt = new(bus, processes, options, TimeProvider.System, NullLogger.Instance);
        using HostDomains domains = new(
            libvirt, processes, config.Sources, options, TimeProvider.System, NullLogger.Instance);
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Task run = Task.WhenAll(libvirt.RunAsync(stop.Token), domains.RunOthersAsync(stop.Token));
        try
        {
            return await domains.FirstPictureAsync(s_patience, cancel);
        }
        finally
        {
            await stop.CancelAsync();
            await run.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }
    }
}
