// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Spectre.Console;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier status</c>: what the agent does with each domain now.</summary>
internal static class StatusCommand
{
    public static Command Create()
    {
        Option<bool> json = new("--json") { Description = "Print one JSON document (sizes in bytes)" };
        Command command = new("status", "Show each running domain: budget, where its pages are, and what needs attention")
        {
            json,
        };
        command.SetAction((result, cancel) => RunAsync(result.GetValue(json), cancel));
        return command;
    }

    private static async Task<int> RunAsync(bool json, CancellationToken cancel)
    {
        AgentStatus status;
        try
        {
            await using AgentClient client = AgentClient.Connect();
            status = await client.GetStatusAsync(cancel);
        }
        catch (AgentUnreachableException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return ExitCode.NoAgent;
        }
        if (json)
            Console.WriteLine(status.ToJson());
        else
            StatusTable.WriteTo(AnsiConsole.Console, status);
        return ExitCodeOf(status);
    }

    /// <summary>Whether something in it needs a person.</summary>
    internal static int ExitCodeOf(AgentStatus status) =>
        !status.Libvirt.Connected || status.Hung.Count > 0 || status.Domains.Any(d => d.NeedsAttention)
            ? ExitCode.Attention
            : ExitCode.Success;
}
