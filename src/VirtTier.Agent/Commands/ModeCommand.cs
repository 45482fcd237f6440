// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Commands;

/// <summary>
/// <c>virttier enable</c> and <c>virttier observe</c>: let pages of VMs be moved, or measure only. They set the VM's <c>mode</c>,
/// now and for its next start; for a host whose <c>defaults</c> say <c>mode: observe</c>, this is the way in and back.
/// </summary>
internal static class ModeCommand
{
    public static Command CreateEnable() =>
        Create("enable", "enforce", "Let VirtTier move the pages of VMs, now and after their next start");

    public static Command CreateObserve() =>
        Create("observe", "observe", "Only measure VMs and move nothing, now and after their next start");

    private static Command Create(string name, string mode, string description)
    {
        Argument<string[]> domains = new("domain") { Description = "Names or UUIDs", Arity = ArgumentArity.ZeroOrMore };
        Option<bool> all = new("--all") { Description = "Every VM that runs now" };
        Command command = new(name, description) { domains, all };
        command.Validators.Add(result =>
        {
            if (result.GetValue(domains) is { Length: > 0 } == result.GetValue(all))
                result.AddError($"name VMs, or say --all: virttier {name} web1");
        });
        command.SetAction((result, cancel) => RunAsync(result.GetValue(domains) ?? [], result.GetValue(all), mode, cancel));
        return command;
    }

    private static async Task<int> RunAsync(string[] domains, bool all, string mode, CancellationToken cancel)
    {
        await using SystemBus bus = new(NullLogger.Instance);
        if (all)
        {
            try
            {
                AgentStatus status = await new AgentClient(bus).GetStatusAsync(cancel);
                domains = [.. status.Domains.Where(d => d.Source == DomainSources.Libvirt).Select(d => d.Uuid.ToString())];
                if (status.Domains.Count > domains.Length)
                    Console.WriteLine($"{status.Domains.Count - domains.Length} VMs are not the host's own libvirt's and stay as "
                        + "they are: their mode is set by a rule in virttier.yaml");
            }
            catch (AgentUnreachableException e)
            {
                await Console.Error.WriteLineAsync($"virttier: --all: {e.Message}");
                return ExitCode.NoAgent;
            }
        }

        int exitCode = ExitCode.Success;
        DomainSettingsClient libvirt = new(bus);
        SettingsChange change = new(new Dictionary<string, string> { ["mode"] = mode }, [], RemoveAll: false);
        foreach (string name in domains)
        {
            // One that refuses must not keep the others as they were.
            try
            {
                DomainHandle domain = await libvirt.FindAsync(name, cancel);
                foreach (string line in await SetCommand.ApplyAsync(
                    libvirt, name, change, domain.IsActive, domain.IsPersistent, cancel))
                    Console.WriteLine(line);
            }
            catch (SettingsRefusedException e)
            {
                exitCode = await SetCommand.FailAsync($"{name}: {e.Message}", ExitCode.BadInput);
            }
            catch (LibvirtException e)
            {
                exitCode = await SetCommand.FailAsync(
                    VirshInstead.Explain(e, name, VirshInstead.Write(change, live: true, config: true)), ExitCode.NoLibvirt);
            }
        }
        return exitCode;
    }
}
