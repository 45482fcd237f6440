// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Spectre.Console;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier estimate</c>: how much DRAM the VMs would need, before any page is moved.</summary>
internal static class EstimateCommand
{
    public static Command Create()
    {
        Argument<string?> domain = new("domain")
        {
            Description = "Name or UUID of a running domain, or SOURCE:ID; all, if left out",
            Arity = ArgumentArity.ZeroOrOne,
        };
        Option<bool> json = new("--json") { Description = "Print one JSON document (sizes in bytes, shares 0..1)" };
        Option<FileInfo> html = new("--html")
        {
            Description = "Write one page of HTML that needs nothing else, to be mailed",
            HelpName = "FILE",
        };
        Command command = new("estimate", "Show how much DRAM VMs would need for at most 1 % and 5 % of accesses slow")
        {
            domain, json, html,
        };
        command.Validators.Add(result =>
        {
            if (result.GetValue(json) && result.GetValue(html) is not null)
                result.AddError("--json and --html exclude each other");
        });
        command.SetAction((result, cancel) =>
            RunAsync(result.GetValue(domain), result.GetValue(json), result.GetValue(html), cancel));
        return command;
    }

    private static Task<int> RunAsync(string? domain, bool json, FileInfo? html, CancellationToken cancel) =>
        AgentQuestion.AskAsync(async client =>
            await ShowAsync(Only(await client.GetEstimateAsync(cancel), domain), json, html, cancel));

    private static async Task<int> ShowAsync(HostEstimate estimate, bool json, FileInfo? html, CancellationToken cancel)
    {
        if (html is not null)
            return await HtmlFile.WriteAsync(html, EstimatePage.Render(estimate, Environment.MachineName), cancel);
        if (json)
            Console.WriteLine(estimate.ToJson());
        else
            Console.WriteLine(string.Join('\n', EstimateText.Render(estimate, AnsiConsole.Profile.Width)));
        return ExitCode.Success;
    }

    /// <summary>The part of an estimate that is of one domain, or of all.</summary>
    /// <exception cref="NotKnownException">There is no such domain.</exception>
    internal static HostEstimate Only(HostEstimate estimate, string? nameOrUuid) =>
        nameOrUuid is null ? estimate : estimate with { Domains = [estimate.Domains.Find(nameOrUuid)] };
}
