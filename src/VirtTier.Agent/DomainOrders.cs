// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>What is to be done with one domain now.</summary>
/// <param name="Domain">libvirt's picture of it.</param>
/// <param name="Settings">Its settings, with the host's defaults filled in.</param>
/// <param name="BudgetPages">Most pages that it may have in fast memory.</param>
/// <param name="Limits">Limits of migration.</param>
internal sealed record DomainOrders(RunningDomain Domain, TieringSettings Settings, long BudgetPages, MoveLimits Limits)
{
    /// <summary>Where each setting is from.</summary>
    public IReadOnlyList<SettingOrigin> Origins { get; init; } = [];

    /// <summary>Whether libvirt is to carry its heat along; null where libvirt is not to be called.</summary>
    public bool? CarriesHeat { get; init; }

    /// <summary>Whether its pages may be moved.</summary>
    public TieringMode Mode => Settings.Mode ?? TieringMode.Enforce;

    /// <summary>Whether the guest stands still or is being copied: nothing to learn from it,
    /// and no time to move its pages.</summary>
    public bool IsPaused => Domain.MigratingOut || Domain.State is not (DomainState.Running or DomainState.Unknown);

    /// <summary>The domain as people see it, as far as it is known without its loop.</summary>
    /// <param name="figures">What its rounds found and did.</param>
    public DomainStatus Status(DomainFigures figures) => new(figures)
    {
        Source = Domain.Source,
        Id = Domain.Id,
        Name = Domain.Name,
        Uuid = Domain.Uuid,
        Pid = Domain.Process?.Pid,
        State = Mode == TieringMode.Off ? TieringState.Off : TieringState.Attaching,
        Reason = Mode == TieringMode.Off ? Reasons.Off(Domain) : Reasons.NoProcess(Domain.ProcessProblem),
        Mode = Mode.ToAttribute(),
        MemoryBytes = (long)Domain.MemoryBytes,
        BudgetBytes = BudgetPages * PageSizes.PageBytes,
        Settings = Origins,
        Problems = [.. Domain.SettingsProblems.Select(SettingProblemStatus.Of)],
    };
}

/// <summary>Limits of one domain's migration.</summary>
/// <param name="BytesPerSecond">Its traffic.</param>
/// <param name="CpuShare">Of one CPU, what moving its pages may take, 0..1.</param>
/// <param name="SplitShare">Of its 2 MiB blocks, what may be split at the same time, 0..1.</param>
internal readonly record struct MoveLimits(long BytesPerSecond, double CpuShare, double SplitShare = 0);
