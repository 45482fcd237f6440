// SPDX-License-Identifier: Apache-2.0
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace VirtTier.Libvirt.Domains;

/// <summary>What the owner of a VM of KubeVirt's (a VirtualMachineInstance) asks for in its annotations.</summary>
/// <param name="Namespace">Its namespace.</param>
/// <param name="Name">Its name there.</param>
/// <param name="Settings">Its annotations <c>virttier.org/KEY</c>, by KEY; empty when it has none.</param>
public sealed record VmiSettings(string Namespace, string Name, IReadOnlyDictionary<string, string> Settings);

/// <summary>
/// What the program <c>virttier-kubernetes</c>, which has a network and no rights, tells the agent, which has rights and no
/// network: one file of all VMs of the node. It outlives both, so that what was last known is known.
/// </summary>
public static class VmiSettingsFile
{
    /// <summary>Where it is.</summary>
    public const string DefaultPath = "/run/virttier-kubernetes/settings.json";

    /// <summary>What no file exceeds: 1000 VMs with all that is kept of one.</summary>
    public const int MostBytes = 4 << 20;

    // No page shows it, so that a quote needs two bytes and not six.
    private static readonly VmiSettingsJson s_json = new(new JsonSerializerOptions(VmiSettingsJson.Default.Options)
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });

    /// <summary>The file's contents.</summary>
    public static byte[] ToBytes(IEnumerable<VmiSettings> vmis) =>
        JsonSerializer.SerializeToUtf8Bytes([.. vmis], s_json.VmiSettingsArray);

    /// <summary>The VMs in a file's contents.</summary>
    /// <exception cref="JsonException">It is no such file.</exception>
    public static IReadOnlyList<VmiSettings> Parse(ReadOnlySpan<byte> contents) =>
        JsonSerializer.Deserialize(contents, s_json.VmiSettingsArray) is { } vmis
            && Array.TrueForAll(vmis, vmi => vmi is not null && !vmi.Settings.Any(setting => setting.Value is null))
            ? vmis
            : throw new JsonException("a list of VMs is expected");
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(VmiSettings[]))]
internal sealed partial class VmiSettingsJson : JsonSerializerContext;
