// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;
using VirtTier.Tiering.History;

namespace VirtTier.Agent.Pictures;

/// <summary>What <c>virttier estimate</c> shows, as one JSON document: how much DRAM the host's VMs would need. Sizes are bytes,
/// times seconds, shares 0..1.</summary>
/// <param name="Made">When.</param>
/// <param name="HasSlowTier">Whether the host has a slow tier.</param>
/// <param name="DramCost">What DRAM costs, if the configuration says so.</param>
/// <param name="Domains">Running domains, by name.</param>
internal sealed record HostEstimate(
    DateTimeOffset Made, bool HasSlowTier, DramCost? DramCost, IReadOnlyList<DomainEstimate> Domains)
{
    /// <summary>Whether hot pages follow their VM from one fast node to another.</summary>
    public bool Rehomes { get; init; }

    /// <summary>Those of which enough was seen.</summary>
    [JsonIgnore]
    public IEnumerable<DomainEstimate> Known => Domains.Where(d => d.OnePercent is not null);

    /// <summary>A domain's name, which tells it from the others.</summary>
    public string NameOf(DomainEstimate domain) => TextTable.Name(Domains.Shown(domain), int.MaxValue);

    public string ToJson() => JsonSerializer.Serialize(this, PicturesJson.Default.HostEstimate);

    /// <exception cref="JsonException">The text is not an estimate.</exception>
    public static HostEstimate FromJson(string json) =>
        JsonSerializer.Deserialize(json, PicturesJson.Default.HostEstimate) is { Domains: not null } estimate
            ? estimate
            : throw new JsonException("it is not a whole estimate");
}

/// <summary>How much DRAM a VM would need.</summary>
/// <param name="Name">libvirt's name of the domain.</param>
/// <param name="Uuid">libvirt's UUID of the domain.</param>
/// <param name="MemoryBytes">The VM's memory.</param>
/// <param name="ResidentBytes">Of it, what has memory of the host behind it now, on whatever tier.</param>
/// <param name="HotBytes">Memory found hot in the last round.</param>
/// <param name="ObservedSeconds">How long it was watched.</param>
/// <param name="EnoughSeconds">From when on there are figures.</param>
internal sealed record DomainEstimate(
    string Name, Guid Uuid, long MemoryBytes, long ResidentBytes, long HotBytes, double ObservedSeconds, double EnoughSeconds)
    : INamedDomain
{
    // Long enough for some hundred predictions; what it does at other times of the day shows later.
    private const double Enough = 15 * 60;

    private const int CurveSteps = 32;

    /// <summary>Who tells of the domain.</summary>
    public string Source { get; init; } = DomainSources.Libvirt;

    /// <summary>What the source tells it from others by.</summary>
    public string Id { get => field ?? Name; init; }

    /// <inheritdoc/>
    public int? Pid { get; init; }

    /// <inheritdoc/>
    [JsonIgnore]
    public DomainKey Key => new(Source, Id);

    /// <summary>Why nothing is seen of it; null if something is.</summary>
    public string? Reason { get; init; }

    /// <summary>How far predicted shares of slow accesses were off, on average; null until one came due.</summary>
    public double? Error { get; init; }

    /// <summary>For at most 1 % of accesses slow; null while it is too early.</summary>
    public DramNeed? OnePercent { get; init; }

    /// <summary>For at most 5 % of accesses slow; null while it is too early.</summary>
    public DramNeed? FivePercent { get; init; }

    /// <summary>The share of accesses that would have gone slow, for steps of DRAM; empty while it is too early.</summary>
    public IReadOnlyList<CurvePoint> Curve { get; init; } = [];

    /// <summary>What is known of a domain.</summary>
    public static DomainEstimate Of(DomainStatus domain, GuestRecord? record) =>
        record?.Ask(curve => Of(domain, curve)) ?? Of(domain, new LongCurve());

    internal static DomainEstimate Of(DomainStatus domain, LongCurve curve)
    {
        long resident = domain.FastBytes + domain.SlowBytes;
        DomainEstimate estimate = new(
            domain.Name, domain.Uuid, domain.MemoryBytes, resident, domain.HotBytes, Math.Round(curve.Seconds), Enough)
        {
            Source = domain.Source,
            Id = domain.Id,
            Pid = domain.Pid,
            Reason = curve.Seconds > 0 ? null : domain.Reason,
            Error = curve.Error is double error ? Math.Round(error, 4) : null,
        };
        return curve.Seconds < Enough || curve.Error is null
            ? estimate
            : estimate with
            {
                OnePercent = DramNeed.Of(curve, 0.01, resident),
                FivePercent = DramNeed.Of(curve, 0.05, resident),
                Curve =
                [
                    .. Enumerable.Range(0, CurveSteps + 1)
                        .Select(step => resident / PageSizes.PageBytes * step / CurveSteps)
                        .Select(pages => new CurvePoint(pages * PageSizes.PageBytes, Math.Round(curve.SlowShare(pages), 4))),
                ],
            };
    }
}

/// <summary>DRAM for a share of accesses that may go slow.</summary>
/// <param name="DramBytes">DRAM that is needed.</param>
/// <param name="LeastBytes">What is needed if the error is in favour.</param>
/// <param name="MostBytes">What is needed if it is not.</param>
/// <param name="FreedBytes">DRAM that the VM's memory would no longer take.</param>
internal sealed record DramNeed(long DramBytes, long LeastBytes, long MostBytes, long FreedBytes)
{
    public static DramNeed Of(LongCurve curve, double slowShare, long residentBytes)
    {
        double error = curve.Error ?? 1;
        long need = For(slowShare);
        return new DramNeed(need, For(slowShare + error), For(Math.Max(0, slowShare - error)), Math.Max(0, residentBytes - need));

        long For(double share) => Math.Min(residentBytes, curve.PagesFor(share) * PageSizes.PageBytes);
    }
}
