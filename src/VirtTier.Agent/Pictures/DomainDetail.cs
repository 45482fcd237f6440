// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Pictures;

/// <summary>What <c>virttier show</c> shows, as one JSON document: one domain with all that is known of it.</summary>
/// <param name="Status">As in the status.</param>
/// <param name="Nodes">Its memory by NUMA node, before the moves of the last round.</param>
/// <param name="Heat">Its memory by heat, the coldest first; before the moves of the last round.</param>
/// <param name="Moves">What was moved of it over time: the last minutes, hours and day; empty before it was attached.</param>
/// <param name="Curve">What more DRAM, or less, would do; null while too little is known.</param>
/// <param name="Events">The last things that happened to it, the oldest first.</param>
internal sealed record DomainDetail(
    DomainStatus Status, IReadOnlyList<NodeBytes> Nodes, IReadOnlyList<HeatBytes> Heat, IReadOnlyList<MovedBytes> Moves,
    DomainCurve? Curve, IReadOnlyList<DomainEvent> Events)
{
    public string ToJson() => JsonSerializer.Serialize(this, PicturesJson.Default.DomainDetail);

    /// <exception cref="JsonException">The text is not such a document.</exception>
    public static DomainDetail FromJson(string json) =>
        JsonSerializer.Deserialize(json, PicturesJson.Default.DomainDetail)
            is { Status: not null, Nodes: not null, Heat: not null, Moves: not null, Events: not null } detail
            ? detail
            : throw new JsonException("it is not all that there is of a domain");
}

/// <summary>What <c>virttier heatmap</c> shows, as one JSON document: where a domain accessed its memory, and when.</summary>
/// <param name="Name">libvirt's name of the domain.</param>
/// <param name="Uuid">libvirt's UUID of the domain.</param>
/// <param name="First">When the first column began.</param>
/// <param name="ColumnSeconds">Time that a column is of.</param>
/// <param name="RowBytes">Memory that a row is of; the last may have less.</param>
/// <param name="Addresses">The guest's address at which each row begins.</param>
/// <param name="Cells">
/// Column after column, the oldest first, and in each row after row: 0 where nobody looked, else 1 + 254 times the share of
/// the row's memory that a harvest found accessed, on average. Base64.
/// </param>
internal sealed record DomainHeat(
    string Name, Guid Uuid, DateTimeOffset First, int ColumnSeconds, long RowBytes, IReadOnlyList<ulong> Addresses, byte[] Cells)
{
    [JsonIgnore]
    public int Columns => Cells.Length / Addresses.Count;

    public string ToJson() => JsonSerializer.Serialize(this, PicturesJson.Default.DomainHeat);

    /// <exception cref="JsonException">The text is not such a document.</exception>
    public static DomainHeat FromJson(string json) =>
        JsonSerializer.Deserialize(json, PicturesJson.Default.DomainHeat) is { Addresses.Count: > 0, Cells: not null } heat
            && heat.Cells.Length % heat.Addresses.Count == 0
            ? heat
            : throw new JsonException("the picture has no whole columns");
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(HostEstimate))]
[JsonSerializable(typeof(DomainDetail))]
[JsonSerializable(typeof(DomainHeat))]
[JsonSerializable(typeof(HostReport))]
internal sealed partial class PicturesJson : JsonSerializerContext;
