// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;

namespace VirtTier.Agent.Doctor;

/// <summary>The sources of domains beside libvirt that the configuration asks for: a line each.</summary>
internal sealed class SourcesCheck : IDoctorCheck
{
    public Task<IReadOnlyList<Finding>> LookAsync(DoctorHost host, CancellationToken cancel) =>
        Task.FromResult<IReadOnlyList<Finding>>([.. host.Domains.Others.Select(other => Look(host, other))]);

    private static Finding Look(DoctorHost host, SourceLink other)
    {
        if (!other.Link.Connected)
            return Finding.Error(other.Source, other.Link.Reason!, Mend(host, other.Source));
        int count = host.Domains.Count(other.Source);
        return count == 0 && other.Source == DomainSources.Qemu
            ? new Finding(other.Source, Severity.Note, $"no QEMU that runs fits {Patterns(host.Config.Sources)}", Mend: null)
            : Finding.Ok(other.Source, $"{count} domains run");
    }

    private static string Patterns(SourceOptions sources) =>
        string.Join(", ", sources.PidFiles.Concat(sources.Cgroups).Select(pattern => Shorten.ForMessage(pattern)));

    /// <summary>What to look at where a source does not answer: a file system that hangs is mended by who mounted it.</summary>
    private static string Mend(DoctorHost host, string source)
    {
        if (!host.IsRoot)
            return "sudo virttier doctor";
        SourceOptions sources = host.Config.Sources;
        string? directory = source switch
        {
            DomainSources.Proxmox => sources.ProxmoxRun,
            DomainSources.Kubevirt => sources.Pods,
            _ => null,
        };
        return directory is null ? "mount # which of them does not answer? " + Patterns(sources)
            : !host.Has(directory) ? "editor /etc/virttier/virttier.yaml && virttier reload # sources"
            : ShellLine.Of("timeout", "10", "ls", "-ld", directory) + " # if that does not answer, its file system hangs";
    }
}
