// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier get</c>: what a domain's metadata says. It talks to libvirt; the agent need not run.</summary>
internal static class GetCommand
{
    public static Command Create()
    {
        Argument<string> domain = new("domain") { Description = "Name or UUID" };
        Option<bool> json = new("--json") { Description = "Print one JSON document" };
        Command command = new("get", "Show a domain's settings: as it runs (live) and for its next start (config)")
        {
            domain, json,
        };
        command.SetAction((result, cancel) => RunAsync(result.GetRequiredValue(domain), result.GetValue(json), cancel));
        return command;
    }

    private static async Task<int> RunAsync(string name, bool json, CancellationToken cancel)
    {
        DomainSettingsView view;
        try
        {
            await using SystemBus bus = new(NullLogger.Instance);
            view = await ReadAsync(new DomainSettingsClient(bus), name, cancel);
        }
        catch (LibvirtException e)
        {
            return await SetCommand.FailAsync(VirshInstead.Explain(e, name), ExitCode.NoLibvirt);
        }
        Console.Write(json ? view.ToJson() + "\n" : view.ToText());
        return view.HasProblems ? ExitCode.Attention : ExitCode.Success;
    }

    /// <exception cref="LibvirtException">There is no such domain, or libvirt does not answer.</exception>
    internal static async Task<DomainSettingsView> ReadAsync(DomainSettingsClient libvirt, string name, CancellationToken cancel)
    {
        DomainHandle domain = await libvirt.FindAsync(name, cancel);
        return new DomainSettingsView(
            domain.Name,
            domain.Uuid,
            domain.IsActive ? SettingsCopyView.Of(await libvirt.ReadAsync(domain, DefinitionCopy.Live, cancel)) : null,
            domain.IsPersistent ? SettingsCopyView.Of(await libvirt.ReadAsync(domain, DefinitionCopy.Config, cancel)) : null);
    }
}

/// <summary>What <c>virttier get</c> shows.</summary>
/// <param name="Name">The domain.</param>
/// <param name="Uuid">Its UUID.</param>
/// <param name="Live">Its settings as it runs; null when it does not.</param>
/// <param name="Config">Its settings for the next start; null for a transient domain.</param>
internal sealed record DomainSettingsView(string Name, Guid Uuid, SettingsCopyView? Live, SettingsCopyView? Config)
{
    /// <summary>Whether anything is wrong with either.</summary>
    [JsonIgnore]
    public bool HasProblems => Live is { Problems.Count: > 0 } || Config is { Problems.Count: > 0 };

    public string ToJson() => JsonSerializer.Serialize(this, SettingsJson.Default.DomainSettingsView);

    /// <summary>A line an attribute, a column a copy; then what is wrong.</summary>
    public string ToText()
    {
        IEnumerable<string> names = TieringSettings.AttributeNames
            .Concat(Live?.Attributes.Keys ?? Enumerable.Empty<string>())
            .Concat(Config?.Attributes.Keys ?? Enumerable.Empty<string>())
            .Distinct();
        List<string[]> rows = [[Name, Live is null ? "live (off)" : "live", Config is null ? "config (transient)" : "config"]];
        rows.AddRange(names.Select(name => (string[])[name, Value(Live, name), Value(Config, name)]));
        int[] widths = [.. Enumerable.Range(0, 2).Select(column => rows.Max(row => row[column].Length))];
        IEnumerable<string> lines = rows.Select(
            row => $"{row[0].PadRight(widths[0])}  {row[1].PadRight(widths[1])}  {row[2]}".TrimEnd());
        return string.Join('\n', [.. lines, .. Complaints("live", Live), .. Complaints("config", Config)]) + "\n";
    }

    private static string Value(SettingsCopyView? copy, string name) => copy?.Attributes.GetValueOrDefault(name) ?? "-";

    private static IEnumerable<string> Complaints(string copy, SettingsCopyView? settings) =>
        settings?.Problems.Select(p => $"{copy}: {p.Attribute}=\"{p.Value}\": {p.Message}") ?? [];
}

/// <param name="Attributes">As they stand there.</param>
/// <param name="MemoryBytes">The domain's memory.</param>
/// <param name="Problems">What is wrong with them.</param>
internal sealed record SettingsCopyView(
    IReadOnlyDictionary<string, string> Attributes, ulong MemoryBytes, IReadOnlyList<SettingProblemStatus> Problems)
{
    public static SettingsCopyView Of(DomainSettings settings) => new(
        settings.Attributes.ToDictionary(), settings.MemoryBytes, [.. settings.Problems.Select(SettingProblemStatus.Of)]);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(DomainSettingsView))]
internal sealed partial class SettingsJson : JsonSerializerContext;
