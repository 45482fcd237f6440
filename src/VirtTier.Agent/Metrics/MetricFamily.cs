// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Metrics;

/// <summary>One metric of the exporter: its name by Prometheus' rules, what it means,
/// and how it is read off the agent's status.</summary>
/// <param name="Name">Base units; counters, and nothing else, end in <c>_total</c>.</param>
/// <param name="Help">One sentence.</param>
/// <param name="Labels">Names of its labels.</param>
/// <param name="Read">Its series: the labels' values, in their order, and the value.</param>
internal sealed record MetricFamily(
    string Name, string Help, string[] Labels, Func<AgentStatus, IEnumerable<(string[] Labels, double Value)>> Read)
{
    /// <summary>Whether it only grows while the agent, or the domain, lives.</summary>
    public bool IsCounter => Name.EndsWith("_total", StringComparison.Ordinal);

    /// <summary>All that are exported, in the order of docs/metrics.md.</summary>
    public static IReadOnlyList<MetricFamily> All { get; } =
    [
        OfHost("virttier_build_info", "The agent's version; always 1.", ["version"], s => [([s.Version], 1)]),
        OfHost("virttier_agent_uptime_seconds", "Time since the agent started.", [], s => [([], s.UptimeSeconds)]),
        OfHost("virttier_libvirt_connected", "Whether libvirt answers the agent: 1 or 0.", [],
            s => [([], s.Libvirt.Connected ? 1 : 0)]),
        OfHost("virttier_source_connected", "Whether a source of domains beside libvirt answers: 1 or 0.", ["source"],
            s => s.Sources.Select(source => (new[] { source.Name }, source.Connected ? 1.0 : 0))),
        OfHost("virttier_hook_messages_total", "Messages of libvirt's qemu hook since the agent started.", [],
            s => [([], s.Libvirt.HookCalls)]),
        OfHost("virttier_pool_bytes", "Fast memory that all budgets together may use.", [], s => [([], s.PoolBytes)]),
        OfHost("virttier_tier_size_bytes", "Memory of a tier; rank 0 is the fastest.", ["tier", "rank"],
            s => Tiers(s, t => t.TotalBytes)),
        OfHost("virttier_tier_free_bytes", "Free memory of a tier; rank 0 is the fastest.", ["tier", "rank"],
            s => Tiers(s, t => t.FreeBytes)),
        OfHost("virttier_tier_node_info", "The NUMA nodes of each tier; always 1.", ["tier", "rank", "node"], Nodes),
        OfHost("virttier_domain_info", "Each running domain, with what identifies it and its mode; always 1.",
            ["domain", "source", "uuid", "mode"],
            s => Domains(s).Select(d => (new[] { d.Name, d.Of.Source, d.Of.Uuid.ToString(), d.Of.Mode }, 1.0))),
        OfHost("virttier_domain_state", "What the agent does with a domain: 1 for the state that it is in, 0 for all others.",
            ["domain", "source", "state"],
            s => Domains(s).SelectMany(d => DomainStatus.StateNames.Select(
                n => (new[] { d.Name, d.Of.Source, n }, d.Of.StateName == n ? 1.0 : 0)))),
        OfDomain("virttier_domain_attention",
            "Whether a person has to do something about a domain: 1 or 0; virttier status says what.",
            d => d.NeedsAttention ? 1 : 0),
        OfDomain("virttier_domain_memory_bytes", "The guest's memory.", d => d.MemoryBytes),
        OfDomain("virttier_domain_budget_bytes", "Most fast memory that a domain may hold.", d => d.BudgetBytes),
        OfHost("virttier_domain_resident_bytes", "Guest memory on the fast tier, and on slower ones, after the last round.",
            ["domain", "source", "tier"],
            s => Domains(s).SelectMany(d => new[]
            {
                (new[] { d.Name, d.Of.Source, "fast" }, (double)d.Of.FastBytes),
                ([d.Name, d.Of.Source, "slow"], d.Of.SlowBytes),
            })),
        OfDomain("virttier_domain_hot_bytes", "Guest memory found hot in the last round.", d => d.HotBytes),
        OfDomain("virttier_domain_hot_fast_bytes", "Of the memory found hot, what was on the fast tier.", d => d.HotFastBytes),
        OfDomain("virttier_domain_rounds_total", "Placement decisions since the sampler was attached.", d => d.Rounds),
        OfDomain("virttier_domain_round_interval_seconds",
            "Time between two rounds now; longer while the guest's habits stand still.",
            d => d.RoundSeconds),
        OfDomain("virttier_domain_promoted_bytes_total", "Memory brought to the fast tier since the sampler was attached.",
            d => d.PromotedPages * (double)PageBytes),
        OfDomain("virttier_domain_demoted_bytes_total", "Memory sent to slower tiers since the sampler was attached.",
            d => d.DemotedPages * (double)PageBytes),
        OfHost("virttier_domain_unmoved_bytes_total", "Memory that would not move, by reason, since the sampler was attached.",
            ["domain", "source", "reason"],
            s => Domains(s).SelectMany(d => d.Of.Unmoved.Select(
                u => (new[] { d.Name, d.Of.Source, u.Key }, u.Value * (double)PageBytes)))),
        OfDomain("virttier_domain_ping_pong_ratio",
            "Share of the pages moved of late that had been moved the other way within eight rounds.",
            d => d.PingPongShare),
        OfDomain("virttier_domain_move_cost_accesses",
            "What moving a page costs, in accesses that could have been fast.", d => d.MoveCost),
        OfDomain("virttier_domain_fault_samples_total", "Fault samples taken in since the sampler was attached.",
            d => d.FaultSamples),
        OfDomain("virttier_domain_setting_problems", "Settings in the domain's metadata that cannot be used.",
            d => d.Problems.Count),
    ];

    private const int PageBytes = 4096;

    private static MetricFamily OfHost(
        string name, string help, string[] labels, Func<AgentStatus, IEnumerable<(string[] Labels, double Value)>> read) =>
        new(name, help, labels, read);

    private static MetricFamily OfDomain(string name, string help, Func<DomainStatus, double> read) =>
        new(name, help, ["domain", "source"], s => Domains(s).Select(d => (new[] { d.Name, d.Of.Source }, read(d.Of))));

    /// <summary>Each domain with a name that no other of its source has: a series has one value.</summary>
    private static IEnumerable<(string Name, DomainStatus Of)> Domains(AgentStatus status) => status.Domains
        .GroupBy(d => (d.Source, d.Name))
        .SelectMany(same => same.Select(d => (same.Count() == 1 ? d.Name : $"{d.Name} ({d.Id}, process {d.Pid ?? 0})", d)));

    private static IEnumerable<(string[], double)> Tiers(AgentStatus status, Func<TierStatus, double> read) =>
        status.Tiers.Select((tier, rank) => (new[] { tier.Name, $"{rank}" }, read(tier)));

    private static IEnumerable<(string[], double)> Nodes(AgentStatus status) =>
        status.Tiers.SelectMany((tier, rank) => tier.Nodes.Select(node => (new[] { tier.Name, $"{rank}", $"{node}" }, 1.0)));
}
