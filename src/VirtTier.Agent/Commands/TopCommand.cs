// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Spectre.Console;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier top</c>: the status, redrawn until interrupted.</summary>
internal static class TopCommand
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    public static Command Create()
    {
        Command command = new("top", "Show the status live; Ctrl-C ends it");
        command.SetAction((_, cancel) => RunAsync(cancel));
        return command;
    }

    private static async Task<int> RunAsync(CancellationToken cancel)
    {
        try
        {
            await using AgentClient client = AgentClient.Connect();
            AgentStatus status = await client.GetStatusAsync(cancel);
            await AnsiConsole.Live(StatusTable.Render(status)).StartAsync(async view =>
            {
                while (!cancel.IsCancellationRequested)
                {
                    view.UpdateTarget(StatusTable.Render(await client.GetStatusAsync(cancel)));
                    await Task.Delay(s_interval, cancel);
                }
            });
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Success;
        }
        catch (AgentUnreachableException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return ExitCode.NoAgent;
        }
        return ExitCode.Success;
    }
}
