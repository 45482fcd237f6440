// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Memory.Processes;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests.Fakes;

/// <summary>Domains whose QEMU is this very test process, so that what is read from /proc is real.</summary>
internal static class Domains
{
    public static ProcessIdentity ThisProcess { get; } = new(
        Environment.ProcessId, ProcessFacts.ReadStartTime(Environment.ProcessId));

    public static RunningDomain Running(string dram = "", TieringMode? mode = null, string name = "web1") => new()
    {
        Uuid = new Guid(name.GetHashCode(StringComparison.Ordinal), 0, 0, new byte[8]),
        Name = name,
        Process = ThisProcess,
        State = DomainState.Running,
        MemoryBytes = FakeHost.GuestPages * PageSizes.PageBytes,
        Settings = new TieringSettings { Dram = dram.Length > 0 ? SizeSpec.Parse(dram) : SizeSpec.Unset, Mode = mode },
    };

    /// <summary>Orders for a domain with a budget of so many pages.</summary>
    public static DomainOrders Orders(this RunningDomain domain, long budgetPages, double splitShare = 0) =>
        new(domain, domain.Settings, budgetPages, new MoveLimits(BytesPerSecond: 1L << 40, CpuShare: 1, splitShare));

    public static DomainSnapshot Snapshot(params IReadOnlyList<RunningDomain> domains) => new(1, LibvirtLink.Up, domains);
}
