// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>What keeps a domain's pages from a node of a tier.</summary>
/// <param name="Text">A sentence.</param>
/// <param name="Mend">The command that mends it; null where none is known.</param>
internal sealed record ForbiddenTier(string Text, string? Mend)
{
    /// <summary>What a domain's own definition says; null if it does not forbid the node.</summary>
    public static ForbiddenTier? ByNumatune(RunningDomain domain, int node)
    {
        (string? mode, string? nodeset) = (domain.Numa.Mode, domain.Numa.Nodeset);
        // libvirt's default mode is strict; preferred and interleave bind nobody.
        if (nodeset is null || mode is not (null or "strict" or "restrictive") || GuestCell.ParseList(nodeset) is not { } nodes
            || nodes.Contains(node))
            return null;

        // The nodes of a running domain can be changed under restrictive only (libvirt 8.0 and later).
        bool live = mode == "restrictive";
        return new ForbiddenTier(
            $"its numatune ({mode ?? "strict"}, nodes {Shorten.ForMessage(nodeset)}) forbids memory on node {node}"
                + (live ? "" : "; to be mended for its next start"),
            ShellCommand.OnDomain(domain, ["virsh", "numatune", .. live ? (string[])["--live", "--config"] : ["--config"],
                "--nodeset", NodeList.Format(nodes.Append(node))]));
    }

    /// <summary>What a restrictive memnode of a domain says of one of its cells; null if none forbids the node. The kernel is
    /// told nothing of it, so it holds for all of the domain, unless it leaves a choice: then the cell's pages are kept to its
    /// nodes.</summary>
    public static ForbiddenTier? ByCell(RunningDomain domain, int node, HostMemory? host = null)
    {
        foreach (string[] cell in (domain.Numa.RestrictiveCells ?? "").Split(';', StringSplitOptions.RemoveEmptyEntries).Select(
            text => text.Split(':', 2)))
        {
            if (GuestCell.ParseList(cell[1]) is { } nodes && !nodes.Contains(node)
                && !(domain.Numa.Cells is not null && host?.LeavesChoice(nodes) == true))
            {
                return new ForbiddenTier(
                    $"its numatune (restrictive memnode of cell {Shorten.ForMessage(cell[0])}, "
                        + $"nodes {Shorten.ForMessage(cell[1])}) forbids memory on node {node}; to be mended for its next start",
                    ShellCommand.OnDomain(domain, "virsh", "edit"));
            }
        }
        return null;
    }

    /// <summary>What the cpuset of the domain's process forbids, which libvirt has written where a numatune says so.</summary>
    public static ForbiddenTier ByCpuset(RunningDomain domain, ForbiddenNode forbidden) =>
        ByNumatune(domain, forbidden.Node) ?? new ForbiddenTier(
            $"its cpuset allows memory on node {NodeList.Format(forbidden.Allowed)} only, not on node {forbidden.Node}",
            MendOf(domain, forbidden));

    private static string? MendOf(RunningDomain domain, ForbiddenNode forbidden) => domain.Source switch
    {
        DomainSources.Libvirt => forbidden.Mend,
        // A file of a pod's cgroup is the kubelet's, which has a policy; that is nothing to be changed while pods run.
        DomainSources.Kubevirt =>
            "grep memoryManagerPolicy /var/lib/kubelet/config.yaml # Static binds pods of the class Guaranteed, None does not",
        _ when forbidden.Unit is { } unit => ShellLine.Of(
            "systemctl", "set-property", unit, $"AllowedMemoryNodes={NodeList.Format(forbidden.Allowed.Append(forbidden.Node))}"),
        _ => forbidden.Mend,
    };

    public override string ToString() => Mend is null ? Text : $"{Text}; mend it with: {Mend}";
}
