// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Manual;

namespace VirtTier.Agent.Commands;

/// <summary>
/// <c>virttier manual</c>, for the package and not listed: the manual page (as scdoc's source) and the shells' completions, made
/// from the command tree itself, so that neither can lack an option; and the names that a completion asks for.
/// </summary>
internal static class ManualCommand
{
    public static Command Create(RootCommand root)
    {
        Command command = new("manual", "Print the manual page's source, or a shell's completions") { Hidden = true };
        command.Add(Print("scdoc", () => ManualPage.Of(root)));
        command.Add(Print("bash", () => Completions.Bash(root)));
        command.Add(Print("zsh", () => Completions.Zsh(root)));
        command.Add(Print("fish", () => Completions.Fish(root)));
        Command domains = new("domains", "Print the names of the domains that the agent sees");
        domains.SetAction((_, cancel) => PrintDomainsAsync(cancel));
        command.Add(domains);
        return command;
    }

    private static Command Print(string name, Func<string> text)
    {
        Command command = new(name, $"Print it for {name}");
        command.SetAction(_ => Console.Write(text()));
        return command;
    }

    private static async Task<int> PrintDomainsAsync(CancellationToken cancel)
    {
        try
        {
            await using AgentClient client = AgentClient.Connect();
            IReadOnlyList<Status.DomainStatus> domains = (await client.GetStatusAsync(cancel)).Domains;
            foreach (Status.DomainStatus domain in domains)
            {
                // A shell takes what it is given a line at a time: a name that is more than a word is completed by its UUID.
                Console.WriteLine(domain.Name.All(c => char.IsAsciiLetterOrDigit(c) || "._+-".Contains(c))
                    && !domain.Name.StartsWith('-') && domains.Count(d => d.Name == domain.Name) == 1
                        ? domain.Name : domain.Uuid.ToString());
            }
            return ExitCode.Success;
        }
        catch (AgentUnreachableException)
        {
            // Nothing to complete is no reason to write over what somebody types.
            return ExitCode.NoAgent;
        }
    }
}
