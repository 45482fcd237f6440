// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Configuration;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier reload</c>: has the agent read its configuration again.</summary>
internal static class ReloadCommand
{
    public static Command Create()
    {
        Command command = new("reload", "Have the agent read its configuration again (systemctl reload virttier does)");
        command.SetAction((_, cancel) => RunAsync(cancel));
        return command;
    }

    private static async Task<int> RunAsync(CancellationToken cancel)
    {
        try
        {
            await using AgentClient client = AgentClient.Connect();
            await client.ReloadAsync(cancel);
            return ExitCode.Success;
        }
        catch (ConfigException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}; the old configuration stays in force");
            return ExitCode.BadInput;
        }
        catch (AgentUnreachableException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return ExitCode.NoAgent;
        }
    }
}
