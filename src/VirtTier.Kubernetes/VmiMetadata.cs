// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using System.Text.Json.Serialization;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Kubernetes;

/// <summary>
/// What is kept of the metadata of a VirtualMachineInstance. Its owner wrote the annotations, and they may be 256 KiB of
/// anything: the little that settings need is kept, so that no VM takes the room of another.
/// </summary>
internal static class VmiMetadata
{
    /// <summary>What the annotations that are settings begin with.</summary>
    internal const string Prefix = "virttier.org/";

    // Together with the number of VMs, less than VmiSettingsFile.MostBytes.
    private const int MostSettings = 12, LongestValue = 100, LongestName = 253;

    /// <summary>A VM; null where it is none, such as one without a name.</summary>
    internal static VmiSettings? Read(JsonElement vmi)
    {
        if (vmi.ValueKind != JsonValueKind.Object || !vmi.TryGetProperty("metadata", out JsonElement metadata)
            || metadata.ValueKind != JsonValueKind.Object
            || Text(metadata, "namespace") is not { Length: > 0 and <= LongestName } @namespace
            || Text(metadata, "name") is not { Length: > 0 and <= LongestName } name)
            return null;
        Dictionary<string, string> settings = [];
        if (!metadata.TryGetProperty("annotations", out JsonElement annotations) || annotations.ValueKind == JsonValueKind.Null)
            return new(@namespace, name, settings);
        if (annotations.ValueKind != JsonValueKind.Object)
            return null;
        foreach (JsonProperty annotation in annotations.EnumerateObject()
            .Where(annotation => annotation.Name.StartsWith(Prefix, StringComparison.Ordinal)).Take(MostSettings))
        {
            if (annotation.Value.ValueKind != JsonValueKind.String)
                return null;
            settings[Shown(annotation.Name[Prefix.Length..])] = Shown(annotation.Value.GetString()!);
        }
        return new(@namespace, name, settings);
    }

    /// <summary>The version of the cluster's state in which the object is so; null where it does not say.</summary>
    internal static string? VersionOf(JsonElement value) =>
        value.ValueKind == JsonValueKind.Object && value.TryGetProperty("metadata", out JsonElement metadata)
            && metadata.ValueKind == JsonValueKind.Object && Text(metadata, "resourceVersion") is { Length: > 0 } version
            ? version
            : null;

    private static string? Text(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out JsonElement text) && text.ValueKind == JsonValueKind.String ? text.GetString() : null;

    /// <summary>What is too long for a setting, or has what none has, is not made one that is right: the agent has to refuse
    /// it.</summary>
    private static string Shown(string text)
    {
        string shown = string.Concat(text.Take(LongestValue).Select(c => c is >= ' ' and <= '~' ? c : '?'));
        return text.Length > LongestValue ? shown + "..." : shown;
    }
}

/// <summary>An answer to a list.</summary>
internal sealed record VmiList(VmiListMetadata? Metadata, IReadOnlyList<ListedVmi>? Items);

/// <summary>What a list says of itself.</summary>
internal sealed record VmiListMetadata(string? ResourceVersion);

/// <summary>A VM of a list; null where it is none. Each is read by itself: one that is odd is no matter of the others, and a long
/// list takes no more room than what is kept of it.</summary>
[JsonConverter(typeof(ListedVmiConverter))]
internal readonly record struct ListedVmi(VmiSettings? Vmi);

internal sealed class ListedVmiConverter : JsonConverter<ListedVmi>
{
    public override ListedVmi Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        using JsonDocument document = JsonDocument.ParseValue(ref reader);
        return new(VmiMetadata.Read(document.RootElement));
    }

    public override void Write(Utf8JsonWriter writer, ListedVmi value, JsonSerializerOptions options) =>
        throw new NotSupportedException();
}

/// <summary>One event of a watch.</summary>
internal sealed record WatchEvent(string? Type, JsonElement Object);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(VmiList))]
[JsonSerializable(typeof(WatchEvent))]
internal sealed partial class VmiJson : JsonSerializerContext;
