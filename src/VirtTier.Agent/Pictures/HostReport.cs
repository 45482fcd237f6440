// SPDX-License-Identifier: Apache-2.0
using System.IO.Compression;
using System.Text.Json;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Doctor;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Pictures;

/// <summary>What <c>virttier report</c> writes: all that can be asked of a host, as it was at one time.</summary>
/// <param name="Host">The host's name.</param>
/// <param name="Made">When.</param>
/// <param name="Status">As <c>virttier status</c> shows it.</param>
/// <param name="Doctor">As <c>virttier doctor</c> shows it.</param>
/// <param name="Domains">Each running domain, by name.</param>
internal sealed record HostReport(
    string Host, DateTimeOffset Made, AgentStatus Status, DoctorReport Doctor, IReadOnlyList<ReportedDomain> Domains)
{
    // Where the page has its data. Base64 has no character that would end an element of HTML.
    private const string Place = "/* report */";

    // What the page lets its reader choose from.
    private static readonly TimeSpan[] s_lasts =
        [TimeSpan.FromSeconds(600), TimeSpan.FromSeconds(9600), TimeSpan.FromSeconds(96000)];

    /// <summary>Asks the agent for everything. A domain that ends meanwhile is in the status alone.</summary>
    /// <exception cref="AgentUnreachableException">The agent does not answer; the message says what to do.</exception>
    public static async Task<HostReport> MakeAsync(
        AgentClient client, DoctorReport doctor, string host, DateTimeOffset made, CancellationToken cancel)
    {
        AgentStatus status = await client.GetStatusAsync(cancel);
        List<ReportedDomain> domains = [];
        foreach (string uuid in status.Domains.Select(domain => domain.Uuid.ToString()))
        {
            try
            {
                domains.Add(new ReportedDomain(
                    uuid, await client.GetDetailAsync(uuid, cancel), await HeatAsync(client, uuid, cancel)));
            }
            catch (NotKnownException)
            {
            }
        }
        return new HostReport(host, made, status, doctor, domains);
    }

    private static async Task<IReadOnlyList<DomainHeat>> HeatAsync(AgentClient client, string uuid, CancellationToken cancel)
    {
        List<DomainHeat> pictures = [];
        try
        {
            foreach (TimeSpan last in s_lasts)
                pictures.Add(await client.GetHeatAsync(uuid, last, cancel));
        }
        catch (NotKnownException)
        {
            // Not sampled yet, or ended: what there is will do.
        }
        return pictures;
    }

    /// <summary>The page with this report in it; null if it has no place for one.</summary>
    public string? Fill(string page)
    {
        int place = page.IndexOf(Place, StringComparison.Ordinal);
        return place < 0 ? null : string.Concat(page.AsSpan(0, place), Pack(), page.AsSpan(place + Place.Length));
    }

    private string Pack()
    {
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.SmallestSize, leaveOpen: true))
            JsonSerializer.Serialize(gzip, this, PicturesJson.Default.HostReport);
        return Convert.ToBase64String(packed.GetBuffer(), 0, (int)packed.Length);
    }
}

/// <param name="Uuid">libvirt's UUID of the domain.</param>
/// <param name="Detail">As <c>virttier show</c> shows it.</param>
/// <param name="Heat">As <c>virttier heatmap</c> shows it, the last minutes first; empty before it was sampled.</param>
internal sealed record ReportedDomain(string Uuid, DomainDetail Detail, IReadOnlyList<DomainHeat> Heat);
