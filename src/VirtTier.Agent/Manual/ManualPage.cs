// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Globalization;
using System.Text;
using VirtTier.Agent.Commands;

namespace VirtTier.Agent.Manual;

/// <summary>virttier(1) as source for scdoc(1).</summary>
internal static class ManualPage
{
    private static readonly (int Code, string Meaning)[] s_exitCodes =
    [
        (ExitCode.Success, "Done, and all is well."),
        (ExitCode.Attention, "Done, but something on the host needs a person: a domain waits, or a setting is wrong."),
        (ExitCode.BadInput, "Not done: the configuration or an argument cannot be used."),
        (ExitCode.NoAgent, "Not done: the agent does not answer."),
        (ExitCode.NoLibvirt, "Not done: libvirt does not answer, or refuses."),
    ];

    private static readonly (string Path, string What)[] s_files =
    [
        ("/etc/virttier/virttier.yaml", "The host's defaults and limits; every key is optional."),
        ("/etc/libvirt/hooks/qemu.d/virttier", "The libvirt hook, which tells the agent early."),
        ("/var/lib/virttier", "What the agent keeps across restarts: heat and the last good settings."),
    ];

    public static string Of(RootCommand root)
    {
        StringBuilder page = new();
        CommandNode[] nodes = [.. CommandNode.All(root)];
        page.Append("virttier(1)\n\n# NAME\n\nvirttier - memory tiering for KVM guests\n\n# SYNOPSIS\n\n");
        page.Append("*virttier* [_command_] [_option_...]\n\n# DESCRIPTION\n\n");
        page.Append(Plain(root.Description)).Append(
            "\n\nWithout a command, the status is printed, and the one thing to do next.\n\n# COMMANDS\n\n");
        foreach (CommandNode node in nodes.Skip(1).Where(node => node.Command.Subcommands.Count == 0))
            Append(page, node);

        page.Append("# EXIT STATUS\n\n");
        foreach ((int code, string meaning) in s_exitCodes)
            page.Append(CultureInfo.InvariantCulture, $"*{code}*\n\t{meaning}\n\n");
        page.Append("*virttier doctor* has its own: 0 ready, 1 warnings, 2 errors.\n\n# FILES\n\n");
        foreach ((string path, string what) in s_files)
            page.Append(CultureInfo.InvariantCulture, $"_{path}_\n\t{what}\n\n");
        page.Append("# SEE ALSO\n\n*virsh*(1), *numactl*(8)\n");
        return page.ToString();
    }

    private static void Append(StringBuilder page, CommandNode node)
    {
        page.Append("## ").Append(string.Join(' ', node.Path.Skip(1))).Append("\n\n*").Append(node.FullName).Append('*');
        foreach (Argument argument in node.Command.Arguments.Where(argument => !argument.Hidden))
        {
            string name = $"_{Plain(argument.Name)}_" + (argument.Arity.MaximumNumberOfValues > 1 ? "..." : "");
            page.Append(' ').Append(argument.Arity.MinimumNumberOfValues == 0 ? $"[{name}]" : name);
        }
        page.Append(node.Options.Any() ? " [_option_...]\n\n" : "\n\n").Append(Plain(node.Command.Description)).Append(".\n\n");
        foreach (Argument argument in node.Command.Arguments.Where(
            argument => !argument.Hidden && argument.Description is not null))
            page.Append(CultureInfo.InvariantCulture, $"_{Plain(argument.Name)}_\n\t{Plain(argument.Description)}.\n\n");
        foreach (Option option in node.Options)
        {
            IEnumerable<string> names = option.Aliases.Prepend(option.Name).Select(name => $"*{Plain(name)}*");
            string value = CommandNode.TakesValue(option) ? $" _{Plain((option.HelpName ?? option.Name).TrimStart('-'))}_" : "";
            page.Append(CultureInfo.InvariantCulture, $"{string.Join(", ", names)}{value}\n\t{Plain(option.Description)}.\n\n");
        }
    }

    /// <summary>Text that scdoc takes as it is.</summary>
    private static string Plain(string? text)
    {
        StringBuilder plain = new();
        foreach (char c in text ?? "")
        {
            if (c is '\\' or '*' or '_' or '#' or '[' or ']' or '|' or '`' or '.' && plain.Length == 0)
                plain.Append('\\');
            plain.Append(c is '\n' ? ' ' : c);
        }
        return plain.ToString().TrimEnd('.');
    }
}
