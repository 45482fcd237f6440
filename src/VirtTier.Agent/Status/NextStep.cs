// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Status;

/// <summary>The one thing to do next, told by a bare <c>virttier</c>.</summary>
/// <param name="Why">What it is for, in a few words.</param>
/// <param name="Command">To be pasted.</param>
internal sealed record NextStep(string Why, string Command)
{
    /// <summary>When the agent does not answer.</summary>
    public static NextStep WithoutAgent { get; } = new("what this host lacks", "virttier doctor");

    /// <summary>What a status calls for first.</summary>
    public static NextStep Of(AgentStatus status)
    {
        if (status.Hung.Count > 0)
            return new("the agent hangs, systemd will restart it; what it did before", "journalctl -u virttier");
        if (!status.Libvirt.Connected || status.Sources.Any(source => !source.Connected))
            return new("what this host lacks", "virttier doctor");
        if (status.Domains.FirstOrDefault(d => d is { Problems.Count: > 0, Source: DomainSources.Libvirt }) is { } mistaken)
            return new("its settings cannot be used; what they are",
                ShellCommand.OnDomain(mistaken.Name, mistaken.Uuid, "virttier", "get"));
        if (status.Domains.Any(d => d.NeedsAttention))
            return new("what keeps these VMs from being tiered", "virttier doctor");
        if (status.Domains.Count == 0)
            return status.Libvirt.Source == LibvirtSource.Off.ToKey()
                ? new("no VM runs; where they are looked for", "virttier doctor")
                : new("no VM runs; which there are", "virsh list --all");
        if (status.Tiers.Count == 1)
            return new("this host has one memory tier, so "
                + (status.Rehomes ? "hot pages only follow their VMs between sockets" : "VMs are only watched")
                + "; what a slow one would save", "virttier estimate");
        if (status.Domains.All(d => d.Mode == "observe"))
            return new("nothing is moved yet: all VMs are only observed; to let VirtTier move their pages",
                "virttier enable --all");
        return new("to watch it", "virttier top");
    }
}
