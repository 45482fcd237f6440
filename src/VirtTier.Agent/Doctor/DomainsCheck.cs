// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Memory;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>What of each running domain keeps its pages from a tier: its numatune, a cpuset, its settings.</summary>
internal sealed class DomainsCheck : IDoctorCheck
{
    // A VM that starts, ends or is migrated in has no known process for a moment.
    // Nothing that could be done to it is safe in all its states.
    private const string LookAgain =
        "virttier doctor # in a minute; if it stays so: a shutdown and a start when the VM's owner likes";

    public Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel)
    {
        HostMemory memory;
        try
        {
            memory = HostMemory.Read(host.Config, NumaTopology.Read(host.At("/sys")), host.At("/proc"));
        }
        catch (Exception e) when (e is GuestMemoryException or ConfigException)
        {
            return Task.FromResult<IReadOnlyList<Finding>>([]); // TiersCheck says it
        }
        List<Finding> findings = [.. host.Domains.Domains.SelectMany(domain => Look(host, memory, domain))];
        if (findings.Count == 0 && host.Domains.Domains.Count > 0)
            findings.Add(Finding.Ok("domains", $"none of the {host.Domains.Domains.Count} that run is kept from a tier"));
        return Task.FromResult<IReadOnlyList<Finding>>(findings);
    }

    private static IEnumerable<Finding> Look(DoctorHost host, HostMemory memory, RunningDomain domain)
    {
        string check = NameOf(domain.Key);
        foreach (Finding finding in Problems(domain))
            yield return finding;
        if (domain.Process is not ProcessIdentity process)
            yield break;

        // One node of a tier is enough.
        foreach (IReadOnlyList<int> tier in (IReadOnlyList<int>[])[memory.FastNodes,
            memory.Tiers.SlowerNodesFrom(memory.FastNodes[0])])
        {
            ForbiddenTier?[] forbidden = [.. tier.Select(node => Forbids(host, memory, domain, process.Pid, node))];
            if (forbidden.Length > 0 && forbidden.All(why => why is not null))
                yield return Finding.Error(check, forbidden[0]!.Text, forbidden[0]!.Mend);
        }
    }

    /// <summary>What is said of a domain is said under this; of one that is not libvirt's with its source.</summary>
    internal static string NameOf(DomainKey domain) => $"domain {Shorten.ForMessage(domain.ToString())}";

    /// <summary>What the picture of a domain says is wrong with it, whatever the host is like.</summary>
    internal static IEnumerable<Finding> Problems(RunningDomain domain)
    {
        string check = NameOf(domain.Key);
        foreach (SettingsProblem problem in domain.SettingsProblems)
            yield return Finding.Warning(check, $"{problem.Attribute}=\"{problem.Value}\": {problem.Message}",
                SettingsMend(domain));
        if (domain.Process is null)
            yield return Finding.Error(check, $"its QEMU is not known: {domain.ProcessProblem}", LookAgain);
    }

    /// <summary>One command for all that is wrong: with a part of it taken out the settings would be refused still. Each source
    /// keeps its domains' settings in a place of its own.</summary>
    private static string SettingsMend(RunningDomain domain)
    {
        string[] names = [.. domain.SettingsProblems.Select(p => p.Attribute).Distinct()];
        // What is no attribute, or one whose name was shortened, is for a person to see.
        bool isPlain = Array.TrueForAll(
            names,
            name => name != TieringSettings.ElementName && name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or ':'));
        return domain.Source switch
        {
            DomainSources.Libvirt => MetadataMend(domain, names, isPlain),
            DomainSources.Proxmox => TagsMend(domain, names),
            DomainSources.Kubevirt when domain.Labels.Namespace is { } space && domain.Name.Length > space.Length =>
                AnnotationsMend(domain.Name[(space.Length + 1)..], space, names, isPlain),
            _ => ShellLine.Of("virttier", "explain", "--", domain.Key.Full),
        };
    }

    private static string MetadataMend(RunningDomain domain, string[] names, bool isPlain)
    {
        // Once there is an element of the right namespace, the other one counts for nothing.
        if (domain.SettingsProblems.Any(p => p.Attribute == TieringSettings.ElementName
            && p.Value.StartsWith(TieringSettings.NamespacePrefix, StringComparison.OrdinalIgnoreCase)))
            return ShellCommand.OnDomain(domain, "virttier", "set", "--dram", "auto") + " # or what the element says";
        return isPlain
            ? ShellCommand.OnDomain(domain, ["virttier", "set", .. names.SelectMany(name => (string[])["--unset", name])])
            : ShellCommand.OnDomain(domain, "virsh", "metadata", "--uri", TieringSettings.MetadataNamespace, "--key", "virttier",
                "--live", "--edit");
    }

    /// <summary>Proxmox VE sets all tags at once: these are all but the wrong ones.</summary>
    private static string TagsMend(RunningDomain domain, string[] names)
    {
        string[] left = [.. (domain.Labels.Labels ?? "").Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(
            tag => !names.Any(name => $"{tag}-".StartsWith($"{ProxmoxTags.Prefix}{name}-", StringComparison.Ordinal)))];
        return ShellLine.Of(
            ["qm", "set", domain.Id, .. left.Length > 0 ? (string[])["--tags", string.Join(';', left)] : ["--delete", "tags"]]);
    }

    private static string AnnotationsMend(string vmi, string space, string[] names, bool isPlain) => isPlain
        ? ShellLine.Of(
            ["kubectl", "annotate", "vmi", vmi, "--namespace", space, .. names.Select(name => $"virttier.org/{name}-")])
        : ShellLine.Of("kubectl", "edit", "vmi", vmi, "--namespace", space);

    private static ForbiddenTier? Forbids(DoctorHost host, HostMemory memory, RunningDomain domain, int pid, int node) =>
        ForbiddenTier.ByNumatune(domain, node) ?? ForbiddenTier.ByCell(domain, node, memory)
            ?? (CheckNode(host, pid, node) is { } cpuset ? ForbiddenTier.ByCpuset(domain, cpuset) : null);

    private static ForbiddenNode? CheckNode(DoctorHost host, int pid, int node)
    {
        try
        {
            return NodePreflight.Check(pid, node, host.At("/proc"), host.At("/sys/fs/cgroup"));
        }
        catch (GuestMemoryException)
        {
            return null; // it has just ended
        }
    }
}
