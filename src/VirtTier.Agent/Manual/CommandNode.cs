// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.CommandLine.Completions;

namespace VirtTier.Agent.Manual;

/// <summary>One command of the tree with what a reader, or a shell, needs to know of it.</summary>
/// <param name="Path">Words that lead to it: <c>virttier hook install</c>.</param>
/// <param name="Command">The command itself.</param>
internal sealed record CommandNode(string[] Path, Command Command)
{
    public string FullName => string.Join(' ', Path);

    public IEnumerable<Option> Options =>
        Command.Options.Where(option => !option.Hidden && option.Name is not ("--help" or "--version"));

    /// <summary>Whether its argument is the name of a domain.</summary>
    public bool TakesDomain => Command.Arguments.Any(argument => argument.Name == "domain");

    /// <summary>All commands that are not hidden, in the order in which help lists them, the root first.</summary>
    public static IEnumerable<CommandNode> All(Command root)
    {
        return Walk(new CommandNode([root is RootCommand ? "virttier" : root.Name], root));

        static IEnumerable<CommandNode> Walk(CommandNode node) => node.Command.Subcommands
            .Where(command => !command.Hidden)
            .SelectMany(command => Walk(new CommandNode([.. node.Path, command.Name], command)))
            .Prepend(node);
    }

    /// <summary>Whether something follows the option: not so for a flag.</summary>
    public static bool TakesValue(Option option) => option.ValueType != typeof(bool);

    /// <summary>Whether what follows the option is the path of a file.</summary>
    public static bool TakesFile(Option option) => option.HelpName == "FILE";

    /// <summary>The words that an option or an argument takes, if they are known and few.</summary>
    public static IEnumerable<string> WordsOf(Symbol symbol) =>
        symbol.GetCompletions(CompletionContext.Empty).Select(item => item.InsertText ?? item.Label);
}
