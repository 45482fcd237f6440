// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Globalization;
using System.Text;

namespace VirtTier.Agent.Manual;

/// <summary>
/// What shells complete after <c>virttier</c>: scripts with every command and option in them, so that a Tab starts no process but
/// where the name of a domain is wanted.
/// </summary>
internal static class Completions
{
    private const string DomainNames = "virttier manual domains 2>/dev/null";

    public static string Bash(RootCommand root)
    {
        StringBuilder script = new("# bash completion for virttier\n_virttier() {\n");
        script.Append(
            "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path=virttier words= domains= i\n");
        // The longest path of commands among the words before the cursor.
        script.Append("    for ((i = 1; i < COMP_CWORD; i++)); do\n        case \"$path ${COMP_WORDS[i]}\" in\n        ");
        script.AppendJoin(" | ", CommandNode.All(root).Skip(1).Select(node => $"'{node.FullName}'"));
        script.Append(") path=\"$path ${COMP_WORDS[i]}\" ;;\n        esac\n    done\n    case \"$path $prev\" in\n");
        foreach (CommandNode node in CommandNode.All(root))
        {
            foreach (Option option in node.Options.Where(CommandNode.TakesValue))
            {
                string names =
                    string.Join(" | ", option.Aliases.Prepend(option.Name).Select(name => $"'{node.FullName} {name}'"));
                string kind = CommandNode.TakesFile(option) ? "-f" : $"-W '{string.Join(' ', CommandNode.WordsOf(option))}'";
                script.Append(CultureInfo.InvariantCulture,
                    $"    {names}) COMPREPLY=($(compgen {kind} -- \"$cur\")); return ;;\n");
            }
        }
        script.Append("    esac\n    case \"$path\" in\n");
        foreach (CommandNode node in CommandNode.All(root))
        {
            script.Append(CultureInfo.InvariantCulture, $"    '{node.FullName}') words='{string.Join(' ', WordsAfter(node))}'");
            script.Append(node.TakesDomain ? " domains=1 ;;\n" : " ;;\n");
        }
        script.Append(CultureInfo.InvariantCulture, $"    esac\n    [[ -z $domains || $cur == -* ]] || words=$({DomainNames})\n");
        script.Append("    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _virttier virttier\n");
        return script.ToString();
    }

    public static string Zsh(RootCommand root)
    {
        StringBuilder script = new("#compdef virttier\n# zsh completion for virttier\n_virttier() {\n");
        script.Append("    local cur=${words[CURRENT]} prev=${words[CURRENT-1]} path_=virttier i\n    local -a choices\n");
        script.Append("    for ((i = 2; i < CURRENT; i++)); do\n        case \"$path_ ${words[i]}\" in\n        ");
        script.AppendJoin(" | ", CommandNode.All(root).Skip(1).Select(node => $"'{node.FullName}'"));
        script.Append(") path_=\"$path_ ${words[i]}\" ;;\n        esac\n    done\n    case \"$path_ $prev\" in\n");
        foreach (CommandNode node in CommandNode.All(root))
        {
            foreach (Option option in node.Options.Where(CommandNode.TakesValue))
            {
                string names =
                    string.Join(" | ", option.Aliases.Prepend(option.Name).Select(name => $"'{node.FullName} {name}'"));
                string what =
                    CommandNode.TakesFile(option) ? "_files" : $"compadd -- {string.Join(' ', CommandNode.WordsOf(option))}";
                script.Append(CultureInfo.InvariantCulture, $"    {names}) {what}; return ;;\n");
            }
        }
        script.Append("    esac\n    case \"$path_\" in\n");
        foreach (CommandNode node in CommandNode.All(root))
        {
            script.Append(CultureInfo.InvariantCulture, $"    '{node.FullName}')\n        choices=(\n");
            foreach (Command command in node.Command.Subcommands.Where(command => !command.Hidden))
                script.Append(CultureInfo.InvariantCulture, $"            '{command.Name}:{Quoted(command.Description)}'\n");
            foreach (Option option in node.Options)
                script.Append(CultureInfo.InvariantCulture, $"            '{option.Name}:{Quoted(option.Description)}'\n");
            script.Append("        )\n");
            if (node.TakesDomain)
                script.Append(CultureInfo.InvariantCulture,
                    $"        [[ $cur == -* ]] || choices=(${{(f)\"$({DomainNames})\"}})\n");
            script.Append("        ;;\n");
        }
        script.Append("    esac\n    _describe virttier choices\n}\n_virttier \"$@\"\n");
        return script.ToString();
    }

    public static string Fish(RootCommand root)
    {
        StringBuilder script = new("# fish completion for virttier\ncomplete -c virttier -f\n");
        foreach (CommandNode node in CommandNode.All(root))
        {
            string condition = ConditionOf(node);
            foreach (Command command in node.Command.Subcommands.Where(command => !command.Hidden))
                script.Append(CultureInfo.InvariantCulture,
                    $"complete -c virttier -n '{condition}' -a {command.Name} -d '{Escaped(command.Description)}'\n");
            foreach (Option option in node.Options)
            {
                script.Append(CultureInfo.InvariantCulture, $"complete -c virttier -n '{condition}'");
                foreach (string name in option.Aliases.Prepend(option.Name))
                    script.Append(name.StartsWith("--", StringComparison.Ordinal) ? $" -l {name[2..]}" : $" -s {name[1..]}");
                if (CommandNode.TakesFile(option))
                    script.Append(" -r -F");
                else if (CommandNode.TakesValue(option))
                    script.Append(CultureInfo.InvariantCulture, $" -x -a '{string.Join(' ', CommandNode.WordsOf(option))}'");
                script.Append(CultureInfo.InvariantCulture, $" -d '{Escaped(option.Description)}'\n");
            }
            if (node.TakesDomain)
            {
                // Without this fish asks for the names where an option is begun, too.
                string isName = $"{condition}; and not string match -q -- \"-*\" (commandline -ct)";
                script.Append(CultureInfo.InvariantCulture, $"complete -c virttier -n '{isName}' -a '({DomainNames})'\n");
            }
        }
        return script.ToString();
    }

    private static IEnumerable<string> WordsAfter(CommandNode node) => node.Command.Subcommands
        .Where(command => !command.Hidden)
        .Select(command => command.Name)
        .Concat(node.Options.Select(option => option.Name));

    // Deep enough in the tree, and not in one of its subcommands.
    private static string ConditionOf(CommandNode node)
    {
        IEnumerable<string> conditions = node.Path.Skip(1).Select(word => $"__fish_seen_subcommand_from {word}");
        string inner =
            string.Join(' ', node.Command.Subcommands.Where(command => !command.Hidden).Select(command => command.Name));
        if (inner.Length > 0)
            conditions = conditions.Append($"not __fish_seen_subcommand_from {inner}");
        return string.Join("; and ", conditions.DefaultIfEmpty("true"));
    }

    private static string Quoted(string? text) => (text ?? "").Replace("'", "'\\''").Replace(":", "\\:");

    private static string Escaped(string? text) => (text ?? "").Replace("\\", "\\\\").Replace("'", "\\'");
}
