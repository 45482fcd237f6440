// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>
/// Where a <see cref="DomainMonitor"/> learns which domains run, as which process, in which state and with which settings. It
/// marks what its hints are about in the monitor's <see cref="PendingWork"/>. Used by one pass at a time.
/// </summary>
internal interface IDomainSource : IDisposable
{
    /// <summary>Its name, one of <see cref="DomainSources"/>.</summary>
    string Name => DomainSources.Libvirt;

    /// <summary>Whether the configuration asks for it; it has no domains while not.</summary>
    bool IsAsked => true;

    /// <summary>By which way libvirt's domains are learned of, never <see cref="LibvirtSource.Auto"/>; null for any other
    /// source.</summary>
    LibvirtSource? Kind { get; }

    /// <summary>The domains in the order of their names, without those whose run is known to have ended.</summary>
    RunningDomain[] ToSortedArray();

    /// <summary>Follows what hints alone have shown, without a question to anybody: ended processes, events.</summary>
    void FollowHints();

    /// <summary>Lists the domains, reads those that are new or marked, and finds their processes.</summary>
    /// <param name="marks">What hints were about.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="LibvirtUnavailableException">Libvirt does not answer; what was known stays, but for processes that have
    /// ended.</exception>
    Task LookAsync(PendingWork.Marks marks, CancellationToken cancel);
}
