// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Spectre.Console;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier curve</c>: what more DRAM, or less, would do for a domain.</summary>
internal static class CurveCommand
{
    public static Command Create()
    {
        Argument<string> domain = new("domain") { Description = "Name or UUID of a running domain, or SOURCE:ID" };
        Option<bool> json = new("--json") { Description = "Print one JSON document (sizes in bytes, shares 0..1)" };
        Command command = new("curve", "Show what share of a domain's accesses would go to slow memory with more DRAM, or less")
        {
            domain, json,
        };
        command.SetAction((result, cancel) => RunAsync(result.GetRequiredValue(domain), result.GetValue(json), cancel));
        return command;
    }

    private static Task<int> RunAsync(string domain, bool json, CancellationToken cancel) =>
        AgentQuestion.AskAsync(async client =>
        {
            DomainCurve curve = await client.GetCurveAsync(domain, cancel);
            if (json)
                Console.WriteLine(curve.ToJson());
            else
                AnsiConsole.Write(CurveChart.Render(curve));
            return ExitCode.Success;
        });
}
