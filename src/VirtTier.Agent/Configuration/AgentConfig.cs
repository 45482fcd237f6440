// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Configuration;

/// <summary>
/// What <c>/etc/virttier/virttier.yaml</c> may say. Every key is optional; the values here are the defaults.
/// <c>docs/configuration.md</c> explains each key, and <see cref="ConfigReader"/> maps the names.
/// </summary>
internal sealed record AgentConfig
{
    /// <summary>Where the packages put the configuration.</summary>
    public const string DefaultPath = "/etc/virttier/virttier.yaml";

    /// <summary>Whether the file is there and has nothing in it, not even a comment: it may have lost what it said.</summary>
    public bool IsEmptyFile { get; init; }

    /// <summary>The settings of a domain whose metadata leaves them out (<c>defaults</c>).</summary>
    public TieringSettings Defaults { get; init; } = TieringSettings.Default;

    /// <summary>Settings and limits by what a domain is; the first that matches counts (<c>rules</c>).</summary>
    public IReadOnlyList<SettingsRule> Rules { get; init; } = [];

    /// <summary>What can be used and is surely not what was meant, by file, line and column.</summary>
    public IReadOnlyList<string> Warnings { get; init; } = [];

    /// <summary>Time between two harvests of accessed bits (<c>sampling.interval</c>).</summary>
    public TimeSpan HarvestInterval { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Harvests between two placement decisions (<c>sampling.harvests_per_round</c>).</summary>
    public int HarvestsPerRound { get; init; } = 4;

    /// <summary>Most that harvesting one domain and deciding on it may use of one CPU, 0..1
    /// (<c>sampling.domain_cpu</c>).</summary>
    public double HarvestCpuShare { get; init; } = 0.05;

    /// <summary>Fault samples a second of one domain, where they tell what harvests cannot; 0 for none
    /// (<c>sampling.fault_rate</c>).</summary>
    public int FaultRate { get; init; } = 100;

    /// <summary>How guests are looked at (<c>sampling</c>).</summary>
    public SamplingPace Sampling => new(HarvestInterval, HarvestsPerRound, HarvestCpuShare, FaultRate);

    /// <summary>NUMA nodes of the fast tier (<c>tiers.fast</c>); null: found on the host.</summary>
    public IReadOnlyList<int>? FastNodes { get; init; }

    /// <summary>NUMA nodes of each slow tier, the fastest of them first (<c>tiers.slow</c>); null: found on the host.</summary>
    public IReadOnlyList<IReadOnlyList<int>>? SlowTiers { get; init; }

    /// <summary>Reads of the slow tier that a write to it costs as much as (<c>tiers.write_weight</c>);
    /// null: as the firmware says.</summary>
    public double? WriteWeight { get; init; }

    /// <summary>Most migration traffic of one domain, unless its metadata says otherwise
    /// (<c>migration.domain_rate</c>).</summary>
    public ByteRate DomainRate { get; init; } = ByteRate.Parse("200MiB/s");

    /// <summary>Most that moving the pages of one domain may take of one CPU, 0..1 (<c>migration.domain_cpu</c>).</summary>
    public double MoveCpuShare { get; init; } = 0.04;

    /// <summary>Most of a domain's 2 MiB blocks that may be split at the same time, unless its metadata says otherwise
    /// (<c>migration.split</c>).</summary>
    public BlockShare Split { get; init; }

    /// <summary>Most migration traffic of the host (<c>migration.host_rate</c>).</summary>
    public ByteRate HostRate { get; init; } = ByteRate.Parse("1GiB/s");

    /// <summary>
    /// Share of the fast tier, or bytes of it, that budgets of <c>auto</c> domains may use together (<c>pool.dram</c>);
    /// the rest is left to the host itself.
    /// </summary>
    public SizeSpec Pool { get; init; } = SizeSpec.Parse("80%");

    /// <summary>What a GiB of DRAM costs (<c>costs.dram_per_gib</c>); null: no money is shown.</summary>
    public DramCost? DramCost { get; init; }

    /// <summary>Time between two full looks at libvirt when no signal asks for one (<c>libvirt.heartbeat</c>).</summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>How libvirt's domains are learned of (<c>libvirt.source</c>).</summary>
    public LibvirtSource LibvirtSource { get; init; } = LibvirtSource.Auto;

    /// <summary>Whether a domain's heat goes along when libvirt migrates or saves it (<c>libvirt.carry_heat</c>).</summary>
    public bool CarryHeat { get; init; } = true;

    /// <summary>Where VMs are found that are not the host's own libvirt's (<c>sources</c>).</summary>
    public SourceOptions Sources { get; init; } = new();

    /// <summary>
    /// Whether a domain whose <c>min</c> the pool cannot hold is kept from starting (<c>hook.admission_control</c>).
    /// </summary>
    public bool AdmissionControl { get; init; }
}
