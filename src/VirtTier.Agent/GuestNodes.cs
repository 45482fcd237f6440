// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Memory.Migration;

namespace VirtTier.Agent;

/// <summary>The nodes between which one guest's pages move, and what forbids them.</summary>
internal sealed class GuestNodes
{
    private readonly HostMemory _host;
    private readonly PageMover _mover;
    private readonly int _pid;

    public GuestNodes(HostMemory host, PageMover mover, int pid)
    {
        _host = host;
        _mover = mover;
        _pid = pid;
        Fast = host.FastNodes;
        Slow = host.Tiers.SlowerNodesFrom(Fast[0]);
        FastAllowed = Fast;
        WriteWeight = Slow is [int slow, ..] ? host.WriteWeight(Fast[0], slow) : 1;
    }

    /// <summary>The fast nodes.</summary>
    public IReadOnlyList<int> Fast { get; }

    /// <summary>The slow nodes.</summary>
    public IReadOnlyList<int> Slow { get; }

    /// <summary>Reads of a slow node that a write to it costs as much as.</summary>
    public double WriteWeight { get; }

    /// <summary>Of the fast nodes, those that the guest may have memory on, as of the last <see cref="Check"/>.</summary>
    public IReadOnlyList<int> FastAllowed { get; private set; }

    /// <summary>Of the slow nodes, those that the guest may have memory on, as of the last <see cref="Check"/>.</summary>
    public IReadOnlyList<int> SlowAllowed { get; private set; } = [];

    /// <summary>Why the kernel will not let pages move between the tiers, with what mends it; null if it will. One node of a tier
    /// is enough.</summary>
    public string? Forbidden { get; private set; }

    /// <summary>Looks anew at what is forbidden.</summary>
    /// <returns>True if that is another thing than before.</returns>
    public bool Check(RunningDomain domain)
    {
        string? before = Forbidden;
        string? notFast = null, notSlow = null;
        FastAllowed = [.. Fast.Where(node => Forbids(node) is not { } why || (notFast ??= why) is null)];
        SlowAllowed = [.. Slow.Where(node => Forbids(node) is not { } why || (notSlow ??= why) is null)];
        Forbidden = Slow.Count == 0 ? null
            : FastAllowed.Count == 0 ? notFast
            : SlowAllowed.Count == 0 ? notSlow
            : null;
        return Forbidden != before;

        string? Forbids(int node) =>
            _mover.CheckNode(_pid, node) is { } forbidden ? ForbiddenTier.ByCpuset(domain, forbidden).ToString()
            : ForbiddenTier.ByCell(domain, node, _host) is { } cell ? cell.ToString()
            : _mover.CheckNode(0, node) is { } own ? $"the agent itself: {own}"
            : null;
    }
}
