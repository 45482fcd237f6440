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
/// The settings in force of each running domain, in a small file, so that an agent that starts while a domain's metadata is
/// broken knows the last good ones. A file that cannot be used costs that knowledge and nothing else.
/// </summary>
internal sealed class SettingsStore(string directory, ILogger log)
{
    // Ten thousand domains with every attribute set.
    private const int MostBytes = 4 << 20;

    private readonly string _file = Path.Combine(directory, "settings.json");
    private string? _written;
    private string? _problem;

    /// <summary>What was last saved, by UUID; of it, what still means something.</summary>
    public IReadOnlyDictionary<Guid, TieringSettings> Load()
    {
        Dictionary<Guid, TieringSettings> settings = [];
        try
        {
            Dictionary<Guid, Dictionary<string, string>> saved =
                JsonSerializer.Deserialize(BoundedFile.ReadText(_file, MostBytes), SettingsStoreJson.Default.Settings) ?? [];
            foreach ((Guid uuid, Dictionary<string, string>? attributes) in saved)
            {
                // JSON has null in any place.
                if (attributes?.Values.All(value => value is not null) != true)
                    continue;
                (TieringSettings good, IReadOnlyList<SettingsProblem> problems) = TieringSettings.FromAttributes(attributes);
                if (problems.Count == 0)
                    settings[uuid] = good;
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
        // Of two domains with one UUID the first one's are kept: neither may cost the others theirs.
        Dictionary<Guid, Dictionary<string, string>> settings =
            snapshot.Domains.DistinctBy(d => d.Uuid).ToDictionary(d => d.Uuid, d => d.Settings.ToAttributes().ToDictionary());
        string text = JsonSerializer.Serialize(settings, SettingsStoreJson.Default.Settings);
        if (text == _written)
            return;
        try
        {
            StateFile.Replace(_file, Encoding.UTF8.GetBytes(text));
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

[JsonSerializable(typeof(Dictionary<Guid, Dictionary<string, string>>), TypeInfoPropertyName = "Settings")]
internal sealed partial class SettingsStoreJson : JsonSerializerContext;
