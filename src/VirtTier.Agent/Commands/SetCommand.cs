// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier set</c>: a domain's settings without XML. It talks to libvirt; the agent need not run.</summary>
internal static class SetCommand
{
    private static readonly Dictionary<string, string> s_descriptions = new()
    {
        ["dram"] = "Fast memory that the domain may hold: 2GiB, 25% or auto",
        ["min"] = "What auto may not go under: 512MiB or 10%",
        ["max"] = "What auto may not go over: 4GiB or 50%",
        ["shares"] = $"Weight among auto domains, {Limits.Shares}",
        ["mode"] = "enforce, observe (measure, move nothing) or off",
        ["rate"] = "Most migration traffic: 200MiB/s",
        ["split"] = "Most of its huge pages that may be split at the same time: 10% or off",
    };

    public static Command Create()
    {
        Argument<string> domain = new("domain") { Description = "Name or UUID" };
        Option<string>[] settings = [.. TieringSettings.AttributeNames.Select(
            name => new Option<string>("--" + name) { Description = s_descriptions[name] })];
        Option<string[]> unset = new("--unset")
        {
            Description = "Take an attribute out, so that the host's default holds",
            HelpName = "attribute",
        };
        unset.CompletionSources.Add([.. TieringSettings.AttributeNames]);
        settings.Single(option => option.Name == "--mode").CompletionSources.Add("enforce", "observe", "off");
        Option<bool> remove = new("--remove") { Description = "Take all attributes out" };
        Option<bool> live = new("--live") { Description = "Change the running domain (the default while it runs)" };
        Option<bool> config = new("--config")
        {
            Description = "Change the definition, for the next start (the default while it is off)",
        };
        Command command = new("set", "Change a domain's settings; those that are not named stay")
        {
            domain, unset, remove, live, config,
        };
        foreach (Option<string> setting in settings)
            command.Add(setting);
        command.SetAction((result, cancel) =>
        {
            Dictionary<string, string> set = settings
                .Where(option => result.GetResult(option) is not null)
                .ToDictionary(option => option.Name[2..], option => result.GetValue(option)!);
            SettingsChange change = new(set, result.GetValue(unset) ?? [], result.GetValue(remove));
            return RunAsync(result.GetRequiredValue(domain), change, result.GetValue(live), result.GetValue(config), cancel);
        });
        return command;
    }

    private static async Task<int> RunAsync(string name, SettingsChange change, bool live, bool config, CancellationToken cancel)
    {
        if (change is { Set.Count: 0, Unset.Count: 0, RemoveAll: false })
            return await FailAsync("nothing to set: name an attribute, such as --dram 2GiB (virttier set --help lists them)",
                ExitCode.BadInput);
        try
        {
            await using SystemBus bus = new(NullLogger.Instance);
            foreach (string line in await ApplyAsync(new DomainSettingsClient(bus), name, change, live, config, cancel))
                Console.WriteLine(line);
            return ExitCode.Success;
        }
        catch (SettingsRefusedException e)
        {
            return await FailAsync(e.Message, ExitCode.BadInput);
        }
        catch (LibvirtException e)
        {
            return await FailAsync(
                VirshInstead.Explain(e, name, VirshInstead.Write(change, live, config)), ExitCode.NoLibvirt);
        }
    }

    /// <summary>Checks every copy that is asked for before it writes the first; gives a line for each.</summary>
    /// <exception cref="SettingsRefusedException">The settings would not be good, or the domain has no such copy.</exception>
    /// <exception cref="LibvirtException">There is no such domain, or libvirt does not answer.</exception>
    internal static async Task<IReadOnlyList<string>> ApplyAsync(
        DomainSettingsClient libvirt, string name, SettingsChange change, bool live, bool config, CancellationToken cancel)
    {
        DomainHandle domain = await libvirt.FindAsync(name, cancel);
        if (live && !domain.IsActive)
            throw new SettingsRefusedException($"--live: {domain.Name} does not run; say --config, or start it");
        if (config && !domain.IsPersistent)
            throw new SettingsRefusedException(
                $"--config: {domain.Name} is transient, it has no definition for a next start; say --live");

        List<(DefinitionCopy Copy, IReadOnlyList<KeyValuePair<string, string>> Attributes)> writes = [];
        foreach (DefinitionCopy copy in Copies(domain, live, config))
            writes.Add((copy, change.ApplyTo(await libvirt.ReadAsync(domain, copy, cancel))));
        foreach ((DefinitionCopy copy, IReadOnlyList<KeyValuePair<string, string>> attributes) in writes)
            await libvirt.WriteAsync(domain, copy, attributes, cancel);
        return [.. writes.Select(w => $"{domain.Name} ({w.Copy.ToString().ToLowerInvariant()}): {Show(w.Attributes)}")];
    }

    private static IEnumerable<DefinitionCopy> Copies(DomainHandle domain, bool live, bool config)
    {
        bool current = !live && !config;
        if (live || (current && domain.IsActive))
            yield return DefinitionCopy.Live;
        if (config || (current && !domain.IsActive))
            yield return DefinitionCopy.Config;
    }

    private static string Show(IReadOnlyList<KeyValuePair<string, string>> attributes) => attributes.Count == 0
        ? "nothing set, the host's defaults hold"
        : string.Join(' ', attributes.Select(a => $"{a.Key}={a.Value}"));

    internal static async Task<int> FailAsync(string message, int code)
    {
        foreach (string line in message.Split('\n'))
            await Console.Error.WriteLineAsync($"virttier: {line}");
        return code;
    }
}
