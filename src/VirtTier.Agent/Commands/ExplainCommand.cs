// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier explain</c>: which settings hold for a domain that runs, and where each is from.</summary>
internal static class ExplainCommand
{
    public static Command Create()
    {
        Argument<string> domain = new("domain") { Description = "Name or UUID of a running domain, or SOURCE:ID" };
        Option<bool> json = new("--json") { Description = "Print one JSON document" };
        Command command = new("explain", "Show which settings hold for a domain, where each is from and what cut it")
        {
            domain, json,
        };
        command.SetAction((result, cancel) => RunAsync(result.GetRequiredValue(domain), result.GetValue(json), cancel));
        return command;
    }

    private static Task<int> RunAsync(string name, bool json, CancellationToken cancel) =>
        AgentQuestion.AskAsync(async client =>
        {
            DomainStatus domain = (await client.GetStatusAsync(cancel)).Domains.Find(name);
            Console.Write(json
                ? JsonSerializer.Serialize(domain.Settings, ExplainJson.Default.IReadOnlyListSettingOrigin) + "\n"
                : ToText(domain.Settings));
            return ExitCode.Success;
        });

    /// <summary>A line a setting; below it, what was cut.</summary>
    internal static string ToText(IReadOnlyList<SettingOrigin> settings)
    {
        int width = settings.Select(s => s.Value.Length).DefaultIfEmpty().Max();
        return string.Concat(settings.Select(s => $"{s.Attribute,-6}  {s.Value.PadRight(width)}  {s.From}\n"
            + (s.Cut is null ? "" : $"        {s.Cut}\n")));
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(IReadOnlyList<SettingOrigin>))]
internal sealed partial class ExplainJson : JsonSerializerContext;
