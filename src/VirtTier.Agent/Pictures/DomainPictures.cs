// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Primitives;
using VirtTier.Tiering.History;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Pictures;

/// <summary>Answers what people ask to see of domains, from the records and from the status of now.</summary>
/// <param name="records">What was recorded of each guest.</param>
/// <param name="events">What happened to each domain.</param>
/// <param name="time">The clock.</param>
internal sealed class DomainPictures(GuestRecords records, DomainEvents events, TimeProvider time)
{
    /// <summary>What DRAM costs; null where the configuration does not say.</summary>
    public DramCost? DramCost { get; set; }

    /// <summary>How much DRAM the domains would need.</summary>
    public HostEstimate Estimate(AgentStatus status) => new(
        time.GetUtcNow(), status.Tiers.Count > 1, DramCost,
        [.. status.Domains.Select(domain => DomainEstimate.Of(domain, records.Find(domain.Pid)))])
    {
        Rehomes = status.Rehomes,
    };

    /// <summary>All that is known of a domain.</summary>
    public DomainDetail Detail(DomainStatus domain, DramCurve? curve)
    {
        GuestRecord? record = records.Find(domain.Pid);
        return new DomainDetail(domain, record?.Nodes() ?? [], record?.Heat() ?? [], record?.Moves() ?? [],
            curve is null ? null : DomainCurve.Of(domain, curve), events.Of(domain.Key));
    }

    /// <summary>Where a domain accessed its memory in the last while, and when; null if it was never attached.</summary>
    public DomainHeat? Heat(DomainStatus domain, TimeSpan last)
    {
        if (records.Find(domain.Pid) is not { } record)
            return null;
        (HeatPicture picture, IReadOnlyList<ulong> addresses) = record.Picture(last);
        return new DomainHeat(domain.Name, domain.Uuid, DateTimeOffset.FromUnixTimeSeconds(picture.FirstSecond),
            picture.ColumnSeconds, (long)picture.RowPages * PageSizes.PageBytes, addresses, picture.Cells.ToArray());
    }
}
