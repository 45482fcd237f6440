// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Processes;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Domains;

/// <summary>
/// Proxmox VE's VMs: VMID.pid, which QEMU holds locked, and VMID.conf, whose tags are what rules go by
/// (<see cref="DomainLabels.Labels"/>) and may be settings themselves: <c>virttier-dram-25pct</c>.
/// </summary>
internal sealed class ProxmoxSource(
    IHostProcesses processes, PendingWork work, Func<SourceOptions> options, Action progress, ILogger logger)
    : QemuSource(processes, work, options, progress, logger)
{
    private const int MostBytes = 1 << 20;
    public override string Name => DomainSources.Proxmox;

    public override bool IsAsked => Options.Proxmox;

    /// <summary>Proxmox VE's daemons make it, before there is a VM.</summary>
    protected override string? Needed => Options.ProxmoxRun;

    protected override IEnumerable<Candidate> List()
    {
        foreach (string file in PathPattern.Expand(Options.ProxmoxRun + "/*.pid"))
        {
            string vmid = Path.GetFileNameWithoutExtension(file);
            if (vmid.All(char.IsAsciiDigit) && Processes.FindLockHolder(file) is { } pid)
                yield return new(vmid, pid, Options.ProxmoxRun, () => Processes.FindLockHolder(file) == pid);
        }
    }

    protected override RunningDomain Complete(RunningDomain domain, QemuArguments arguments, RunningDomain? before)
    {
        if (arguments.Id != domain.Id)
            throw new FormatException($"process {domain.Process!.Value.Pid} is not the QEMU of VM {domain.Id}");
        Dictionary<string, string> configuration;
        try
        {
            configuration = Read(BoundedFile.ReadText(Path.Combine(Options.ProxmoxConfig, domain.Id + ".conf"), MostBytes));
        }
        catch (FileNotFoundException)
        {
            // It is being migrated, or /etc/pve is away: what was known of it holds.
            return before ?? domain;
        }
        string[] tags = configuration.GetValueOrDefault("tags", "")
            .Split([';', ',', ' '], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        ulong memory = Memory(configuration.GetValueOrDefault("memory", "")) ?? domain.MemoryBytes;
        var (settings, problems) = Settings(tags, memory);
        return domain with
        {
            Name = configuration.GetValueOrDefault("name") is { Length: > 0 and <= QemuArguments.LongestName } name
                ? name : domain.Name,
            MemoryBytes = memory,
            Labels = DomainLabels.None with { Labels = string.Join('\n', tags) },
            Settings = problems.Count == 0 ? settings : before?.Settings ?? TieringSettings.Default,
            SettingsProblems = problems,
        };
    }

    /// <summary>The keys of the VM as it is: those of snapshots, and what waits for a restart, come below.</summary>
    private static Dictionary<string, string> Read(string text)
    {
        Dictionary<string, string> values = [];
        foreach (string line in text.Split('\n').TakeWhile(line => !line.StartsWith('[')))
        {
            if (line.StartsWith('#') || line.IndexOf(':', StringComparison.Ordinal) is not (> 0 and var end))
                continue;
            values.TryAdd(line[..end], line[(end + 1)..].Trim());
        }
        return values;
    }

    /// <summary>In MiB: <c>4096</c>, or with its key.</summary>
    private static ulong? Memory(string text)
    {
        const string Key = "current=";
        string number = text.Split(',')[0];
        return ulong.TryParse(number.StartsWith(Key, StringComparison.Ordinal) ? number[Key.Length..] : number,
            NumberStyles.None, CultureInfo.InvariantCulture, out ulong value) && value is > 0 and < 1UL << 32
            ? value << 20
            : null;
    }

    /// <summary>Tags that are settings. A tag has small letters and digits, and neither <c>%</c>,
    /// <c>=</c> nor <c>/</c>.</summary>
    private static (TieringSettings Settings, IReadOnlyList<SettingsProblem> Problems) Settings(string[] tags, ulong memory)
    {
        List<KeyValuePair<string, string>> attributes = [];
        foreach (string tag in tags.Where(tag => tag.StartsWith(ProxmoxTags.Prefix, StringComparison.Ordinal)))
        {
            string[] parts = tag[ProxmoxTags.Prefix.Length..].Split('-', 2);
            string value = parts.ElementAtOrDefault(1) ?? "";
            value = value.Replace("pct", "%", StringComparison.Ordinal).Replace("kib", "KiB", StringComparison.Ordinal)
                .Replace("mib", "MiB", StringComparison.Ordinal).Replace("gib", "GiB", StringComparison.Ordinal)
                .Replace("tib", "TiB", StringComparison.Ordinal);
            attributes.Add(new(parts[0], parts[0] == "rate" ? value + "/s" : value));
        }
        return attributes.Count == 0 ? (TieringSettings.Default, []) : TieringSettings.FromAttributes(attributes, memory);
    }
}

/// <summary>Tags of Proxmox VE's that are settings.</summary>
public static class ProxmoxTags
{
    /// <summary>What they begin with; then come the setting's name and its value, with a <c>-</c> in between.</summary>
    public const string Prefix = "virttier-";
}
