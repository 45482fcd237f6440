// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>The picture of the host's running domains at one moment. It never changes; a newer one replaces it.</summary>
/// <param name="Version">Grows by one with each change of the picture; 0 is the empty picture before the first look.</param>
/// <param name="Link">Whether libvirt answers. While it does not, the domains are the last ones known that still live.</param>
/// <param name="Domains">The running domains, in the order of their names.</param>
public sealed record DomainSnapshot(long Version, LibvirtLink Link, IReadOnlyList<RunningDomain> Domains)
{
    /// <summary>How libvirt's domains were learned of; null before the first look.</summary>
    public LibvirtSource? Source { get; init; }

    /// <summary>The sources beside libvirt that the configuration asks for.</summary>
    public IReadOnlyList<SourceLink> Others { get; init; } = [];

    /// <summary>How many domains a source tells of.</summary>
    /// <param name="source">One of <see cref="DomainSources"/>.</param>
    public int Count(string source) => Domains.Count(domain => domain.Source == source);

    /// <summary>Whether all sources answer, so that what is not in the picture does not run.</summary>
    public bool IsWhole { get => field && Link.Connected; init; } = true;
}

/// <param name="Source">A source beside libvirt.</param>
/// <param name="Link">Whether it answers.</param>
public sealed record SourceLink(string Source, LibvirtLink Link);

/// <summary>Whether libvirt answers.</summary>
/// <param name="Connected">True while it does.</param>
/// <param name="Reason">A sentence about what is waited for; null while it answers.</param>
public sealed record LibvirtLink(bool Connected, string? Reason)
{
    /// <summary>It answers.</summary>
    public static LibvirtLink Up { get; } = new(true, null);

    /// <summary>It does not answer.</summary>
    /// <param name="reason">What is waited for.</param>
    public static LibvirtLink Waiting(string reason) => new(false, reason);
}
