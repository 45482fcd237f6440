// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;

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
        OfHost("virttier_loop_silent_seconds",
            "Time since a loop of the agent said that it goes on; one that waits says so every 15 seconds.", ["loop"],
            s => s.Loops.Select(l => (new[] { l.Does }, l.SilentSeconds))),
        OfHost("virttier_loop_limit_seconds", "The longest that a loop of the agent may say nothing: then it hangs.", ["loop"],
            s => s.Loops.Select(l => (new[] { l.Does }, l.LimitSeconds))),
        OfHost("virttier_pool_bytes", "Fast memory that all budgets together may use.", [], s => [([], s.PoolBytes)]),
        OfHost("virttier_tier_size_bytes", "Memory of a tier; rank 0 is the fastest.", ["tier", "rank"],
            s => Tiers(s, t => t.TotalBytes)),
        OfHost("virttier_tier_free_bytes", "Free memory of a tier; rank 0 is the fastest.", ["tier", "rank"],
            s => Tiers(s, t => t.FreeBytes)),
        OfHost("virttier_tier_node_info", "The NUMA nodes of each tier; always 1.", ["tier", "rank", "node"], Nodes),
        OfHost("virttier_domain_info", "Each running domain, with what identifies it and its mode; always 1.",
            ["domain", "uuid", "mode", "source"],
            s => Domains(s).Select(d => (new[] { d.Name, d.Uuid.ToString(), d.Mode, d.Source }, 1.0))),
        OfHost("virttier_domain_state", "What the agent does with a domain: 1 for the state that it is in, 0 for all others.",
            ["domain", "state"],
            s => Domains(s).SelectMany(
                d => DomainStatus.StateNames.Select(n => (new[] { d.Name, n }, d.StateName == n ? 1.0 : 0)))),
        OfDomain("virttier_domain_attention",
            "Whether a person has to do something about a domain: 1 or 0; virttier status says what.",
            d => d.NeedsAttention ? 1 : 0),
        OfDomain("virttier_domain_memory_bytes", "The guest's memory.", d => d.MemoryBytes),
        OfDomain("virttier_domain_budget_bytes", "Most fast memory that a domain may hold.", d => d.BudgetBytes),
        OfHost("virttier_domain_resident_bytes", "Guest memory on the fast tier, and on slower ones, after the last round.",
            ["domain", "tier"],
            s => Domains(s).SelectMany(
                d => new[] { (new[] { d.Name, "fast" }, (double)d.FastBytes), ([d.Name, "slow"], d.SlowBytes) })),
        OfHost("virttier_domain_node_resident_bytes", "Guest memory on each NUMA node, before the moves of the last round.",
            ["domain", "tier", "node"],
            s => Domains(s).SelectMany(
                d => d.ByNode.Select(n => (new[] { d.Name, TierOf(s, n.Node), $"{n.Node}" }, (double)n.Bytes)))),
        OfDomain("virttier_domain_tier_forbidden",
            "Whether a cpuset or a numatune keeps a domain's pages from moving between the tiers: 1 or 0.",
            d => d.IsForbidden ? 1 : 0),
        OfDomain("virttier_domain_hot_bytes", "Guest memory found hot in the last round.", d => d.HotBytes),
        OfDomain("virttier_domain_hot_fast_bytes", "Of the memory found hot, what was on the fast tier.", d => d.HotFastBytes),
        OfHost("virttier_domain_home_ratio",
            "Share of a domain's memory that is at home on a fast NUMA node; none on hosts with one fast node.",
            ["domain", "node"],
            s => Domains(s).SelectMany(d => d.Home.Select(h => (new[] { d.Name, $"{h.Node}" }, h.Share)))),
        OfDomain("virttier_domain_hot_away_bytes",
            "Of the memory found hot, what was on another fast NUMA node than it belongs to.", d => d.HotAwayBytes),
        OfDomain("virttier_domain_slow_access_ratio",
            "Share of a domain's accesses that goes to slow memory, with its pages as before the moves of the last round.",
            d => d.SlowAccessShare),
        OfHost("virttier_domain_slow_access_error_ratio",
            "How far predictions of virttier_domain_slow_access_ratio were off of late, on average; none until one came due.",
            ["domain"],
            s => Domains(s).Where(d => d.SlowAccessError is not null).Select(d => (new[] { d.Name }, d.SlowAccessError ?? 0))),
        OfDomain("virttier_domain_rounds_total", "Placement decisions since the sampler was attached.", d => d.Rounds),
        OfDomain("virttier_domain_round_interval_seconds",
            "Time between two rounds now; longer while the guest's habits stand still.",
            d => d.RoundSeconds),
        OfDomain("virttier_domain_promoted_bytes_total", "Memory brought to the fast tier since the sampler was attached.",
            d => d.PromotedPages * (double)PageBytes),
        OfDomain("virttier_domain_demoted_bytes_total", "Memory sent to slower tiers since the sampler was attached.",
            d => d.DemotedPages * (double)PageBytes),
        OfDomain("virttier_domain_rehomed_bytes_total",
            "Memory brought from one fast NUMA node to another, where it is used, since the sampler was attached.",
            d => d.RehomedPages * (double)PageBytes),
        OfDomain("virttier_domain_sunk_bytes_total",
            "Memory sent from one slow tier to the next slower one since the sampler was attached.",
            d => d.SunkPages * (double)PageBytes),
        OfDomain("virttier_domain_raised_bytes_total",
            "Memory brought from one slow tier to the one above it since the sampler was attached.",
            d => d.RaisedPages * (double)PageBytes),
        OfHost("virttier_domain_unmoved_bytes_total", "Memory that would not move, by reason, since the sampler was attached.",
            ["domain", "reason"],
            s => Domains(s).SelectMany(d => d.Unmoved.Select(u => (new[] { d.Name, u.Key }, u.Value * (double)PageBytes)))),
        OfDomain("virttier_domain_ping_pong_ratio",
            "Share of the pages moved of late that had been moved the other way within eight rounds.",
            d => d.PingPongShare),
        OfDomain("virttier_domain_move_cost_accesses",
            "What moving a page costs, in accesses that could have been fast.", d => d.MoveCost),
        OfDomain("virttier_domain_fault_samples_total", "Fault samples taken in since the sampler was attached.",
            d => d.FaultSamples),
        OfDomain("virttier_domain_harvest_cpu_seconds_total",
            "CPU time that reading accessed bits took since the sampler was attached.", d => d.HarvestSeconds),
        OfDomain("virttier_domain_move_cpu_seconds_total", "CPU time that moving pages took since the sampler was attached.",
            d => d.MoveSeconds),
        OfDomain("virttier_domain_setting_problems", "Settings in the domain's metadata that cannot be used.",
            d => d.Problems.Count),
    ];

    private const int PageBytes = 4096;

    private static MetricFamily OfHost(
        string name, string help, string[] labels, Func<AgentStatus, IEnumerable<(string[] Labels, double Value)>> read) =>
        new(name, help, labels, read);

    private static MetricFamily OfDomain(string name, string help, Func<DomainStatus, double> read) =>
        new(name, help, ["domain"], s => Domains(s).Select(d => (new[] { d.Name }, read(d))));

    /// <summary>Each domain by a name that no other has, as a series has one value; the host's libvirt keeps its own.</summary>
    private static IEnumerable<DomainStatus> Domains(AgentStatus status) => status.Domains
        .GroupBy(d => d.Name)
        .SelectMany(same => same.Select(d =>
            same.Count(other => other.Source == d.Source) > 1 ? d with { Name = $"{d.Name} ({d.Id}, process {d.Pid ?? 0})" }
            : same.Count() == 1 || d.Source == DomainSources.Libvirt ? d
            : d with { Name = $"{d.Name} ({d.Source})" }));

    private static IEnumerable<(string[], double)> Tiers(AgentStatus status, Func<TierStatus, double> read) =>
        status.Tiers.Select((tier, rank) => (new[] { tier.Name, $"{rank}" }, read(tier)));

    // A node of no tier is one that has just come or gone.
    private static string TierOf(AgentStatus status, int node) =>
        status.Tiers.FirstOrDefault(tier => tier.Nodes.Contains(node))?.Name ?? "none";

    private static IEnumerable<(string[], double)> Nodes(AgentStatus status) =>
        status.Tiers.SelectMany((tier, rank) => tier.Nodes.Select(node => (new[] { tier.Name, $"{rank}", $"{node}" }, 1.0)));
}
