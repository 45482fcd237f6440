// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Spectre.Console;
using VirtTier.Agent.Pictures;
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier heatmap</c>: where a domain accessed its memory, and when.</summary>
internal static class HeatmapCommand
{
    private static readonly TimeSpan s_usual = TimeSpan.FromMinutes(10);

    public static Command Create()
    {
        Argument<string> domain = new("domain") { Description = "Name or UUID of a running domain, or SOURCE:ID" };
        Option<TimeSpan> last = new("--last")
        {
            Description = "How far back, such as 90s, 10min or 24h",
            DefaultValueFactory = _ => s_usual,
            CustomParser = Time,
            HelpName = "TIME",
        };
        Option<bool> json = new("--json") { Description = "Print one JSON document" };
        Command command = new("heatmap", "Show where in its memory a domain's accesses were, and when") { domain, last, json };
        command.SetAction((result, cancel) =>
            RunAsync(result.GetRequiredValue(domain), result.GetValue(last), result.GetValue(json), cancel));
        return command;
    }

    private static Task<int> RunAsync(string domain, TimeSpan last, bool json, CancellationToken cancel) =>
        AgentQuestion.AskAsync(async client =>
        {
            DomainHeat heat = await client.GetHeatAsync(domain, last, cancel);
            if (json)
                Console.WriteLine(heat.ToJson());
            else
                Console.WriteLine(string.Join('\n', HeatMapText.Render(heat, AnsiConsole.Profile.Width, IsColourWanted)));
            return ExitCode.Success;
        });

    // no-color.org: whatever it says, as long as it says something.
    private static bool IsColourWanted => !Console.IsOutputRedirected
        && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");

    internal static TimeSpan Time(ArgumentResult result)
    {
        string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
        foreach ((string unit, decimal seconds) in ((string, decimal)[])[("min", 60), ("s", 1), ("h", 3600)])
        {
            if (text.EndsWith(unit, StringComparison.Ordinal)
                && decimal.TryParse(
                    text.AsSpan(0, text.Length - unit.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture,
                    out decimal number)
                && number <= Limits.HeatmapTime.Highest && Limits.HeatmapTime.Allows(number * seconds))
                return TimeSpan.FromSeconds((double)(number * seconds));
        }
        result.AddError(
            $"--last '{Shorten.ForMessage(text)}': must be a time from {Limits.HeatmapTime}, such as 90s, 10min or 24h");
        return TimeSpan.Zero;
    }
}
