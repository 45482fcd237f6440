// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Pictures;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier report</c>: the host as it is now, as one page that can be looked into, to be mailed.</summary>
internal static class ReportCommand
{
    // The page for Cockpit, made to be filled: src/cockpit-virttier.
    private const string InstalledPage = "/usr/share/virttier/report.html";

    public static Command Create()
    {
        Option<FileInfo> html = new("--html")
        {
            Description = "Write one page of HTML that needs nothing else, to be mailed",
            HelpName = "FILE",
            Required = true,
        };
        Option<string> page = new("--page") { DefaultValueFactory = _ => InstalledPage, Hidden = true };
        Command command = new("report", "Write a report of this host as it is now: VMs, heat maps, curves, doctor's findings")
        {
            html, page,
        };
        command.SetAction((result, cancel) =>
            RunAsync(result.GetRequiredValue(html), result.GetRequiredValue(page), cancel));
        return command;
    }

    private static async Task<int> RunAsync(FileInfo html, string pagePath, CancellationToken cancel)
    {
        string page;
        try
        {
            page = await File.ReadAllTextAsync(pagePath, cancel);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return await SetCommand.FailAsync(
                $"the page to be filled cannot be read: {e.Message.TrimEnd('.')}; "
                    + "the package virttier has it, so install that anew",
                ExitCode.BadInput);
        }
        return await AgentQuestion.AskAsync(async client =>
        {
            HostReport report = await HostReport.MakeAsync(
                client, await DoctorCommand.LookAsync(AgentConfig.DefaultPath, cancel), Environment.MachineName,
                DateTimeOffset.UtcNow, cancel);
            return report.Fill(page) is { } filled
                ? await HtmlFile.WriteAsync(html, filled, cancel)
                : await SetCommand.FailAsync($"{pagePath} is not the page of this VirtTier: it has no place for a report",
                    ExitCode.BadInput);
        });
    }
}
