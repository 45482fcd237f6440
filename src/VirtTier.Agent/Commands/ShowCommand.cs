// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Spectre.Console;
using VirtTier.Agent.Pictures;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier show</c>: one VM on one screen.</summary>
internal static class ShowCommand
{
    public static Command Create()
    {
        Argument<string> domain = new("domain") { Description = "Name or UUID of a running domain, or SOURCE:ID" };
        Option<bool> json = new("--json") { Description = "Print one JSON document (sizes in bytes, shares 0..1)" };
        Command command = new("show", "Show one domain: its nodes, heat, curve and budget, moves, and what happened last")
        {
            domain, json,
        };
        command.SetAction((result, cancel) => RunAsync(result.GetRequiredValue(domain), result.GetValue(json), cancel));
        return command;
    }

    private static Task<int> RunAsync(string domain, bool json, CancellationToken cancel) =>
        AgentQuestion.AskAsync(async client =>
        {
            DomainDetail detail = await client.GetDetailAsync(domain, cancel);
            Console.WriteLine(
                json ? detail.ToJson() : string.Join('\n', DetailText.Render(detail, AnsiConsole.Profile.Width)));
            return detail.Status.NeedsAttention ? ExitCode.Attention : ExitCode.Success;
        });
}
