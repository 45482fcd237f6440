// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Bus;

namespace VirtTier.Agent.Commands;

/// <summary>What all commands do that ask the agent: connect, and say what went wrong.</summary>
internal static class AgentQuestion
{
    /// <param name="ask">Asks and prints the answer; gives the exit code.</param>
    public static async Task<int> AskAsync(Func<AgentClient, Task<int>> ask)
    {
        try
        {
            await using AgentClient client = AgentClient.Connect();
            return await ask(client);
        }
        catch (NotKnownException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return ExitCode.BadInput;
        }
        catch (AgentUnreachableException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return ExitCode.NoAgent;
        }
    }
}
