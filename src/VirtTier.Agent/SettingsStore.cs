// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>
/// The settings in force of each running domain of libvirt's, in a small file, so that an agent that starts while a domain's
/// metadata is broken knows the last good ones. A file that cannot be used costs that knowledge and nothing else.
/// </summary>
internal sealed class SettingsStore(string directory, ILogger log)
{
    // Ten thousand domains with every attribute set.
    private const int MostBytes = 4 << 20;

    private readonly string _file = Path.Combine(directory, "settings.json");
    private string? _written;
    private string? _problem;

    /// <summary>What was last saved; of it, what still means something.</summary>
    public IReadOnlyDictionary<(DomainKey Key, Guid Uuid), TieringSettings> Load()
    {
        Dictionary<(DomainKey, Guid), TieringSettings> settings = [];
        try
        {
            SavedSettings?[] saved =
                JsonSerializer.Deserialize(BoundedFile.ReadText(_file, MostBytes), SettingsStoreJson.Default.SavedSettingsArray)
                    ?? [];
            foreach (SavedSettings domain in saved.OfType<SavedSettings>().Where(d => !d.Attributes.ContainsValue(null)))
            {
                var (good, problems) = TieringSettings.FromAttributes(domain.Attributes!);
                if (problems.Count == 0)
                    settings[(new(DomainSources.Libvirt, domain.Name), domain.Uuid)] = good;
            }
        }
        catch (FileNotFoundException)
        {
            // The first start.
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            Complain(e);
        }
        return settings;
    }

    /// <summary>Writes what holds now, if it is something else. While libvirt does not answer, nothing new is known.</summary>
    public void Save(DomainSnapshot snapshot)
    {
        if (!snapshot.Link.Connected)
            return;
        SavedSettings[] settings =
            [.. snapshot.Domains.Where(d => d.Source == DomainSources.Libvirt).Select(
                d => new SavedSettings(d.Name, d.Uuid, d.Settings.ToAttributes().ToDictionary()!))];
        string text = JsonSerializer.Serialize(settings, SettingsStoreJson.Default.SavedSettingsArray);
        if (text == _written)
            return;
        try
        {
            WholeFile.Replace(_file, Encoding.UTF8.GetBytes(text));
            (_written, _problem) = (text, null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Complain(e);
        }
    }

    private void Complain(Exception e)
    {
        string problem = Shorten.Sentence(e.Message);
        if (problem != _problem)
            log.StateFileProblem(_file, problem);
        _problem = problem;
    }
}

/// <param name="Name">libvirt's name of the domain.</param>
/// <param name="Uuid">Its UUID: another one is another domain.</param>
/// <param name="Attributes">Its settings.</param>
internal sealed record SavedSettings(string Name, Guid Uuid, Dictionary<string, string?> Attributes);

[JsonSourceGenerationOptions(RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(SavedSettings[]))]
internal sealed partial class SettingsStoreJson : JsonSerializerContext;
