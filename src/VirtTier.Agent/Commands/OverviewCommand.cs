// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Spectre.Console;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Commands;

/// <summary>A bare <c>virttier</c>: the status, and the one thing to do next.</summary>
internal static class OverviewCommand
{
    public static void MakeDefaultOf(RootCommand root) => root.SetAction((_, cancel) => RunAsync(cancel));

    private static async Task<int> RunAsync(CancellationToken cancel)
    {
        try
        {
            await using AgentClient client = AgentClient.Connect();
            AgentStatus status = await client.GetStatusAsync(cancel);
            StatusTable.WriteTo(AnsiConsole.Console, status);
            Say(NextStep.Of(status));
            return StatusCommand.ExitCodeOf(status);
        }
        catch (AgentUnreachableException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            Say(NextStep.WithoutAgent);
            return ExitCode.NoAgent;
        }
    }

    // Not through the console's markup: the command must come out as it is, and in one line.
    private static void Say(NextStep step) =>
        Console.WriteLine($"next: {step.Command}    ({step.Why}; all commands: virttier --help)");
}
