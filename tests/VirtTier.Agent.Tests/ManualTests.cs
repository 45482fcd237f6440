// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Diagnostics;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Manual;

namespace VirtTier.Agent.Tests;

/// <summary>The manual page and the shells' completions: all of the command tree is in them, and what is hidden is not.</summary>
public sealed class ManualTests : IDisposable
{
    private readonly RootCommand _root = CommandTree.Create();
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory();

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public void The_manual_page_has_every_command_and_option()
    {
        string page = ManualPage.Of(_root);

        foreach (CommandNode node in CommandNode.All(_root).Where(node => node.Command.Subcommands.Count == 0))
        {
            Assert.Contains($"*{node.FullName}*", page);
            Assert.All(node.Options, option => Assert.Contains($"*{option.Name}*", page));
            Assert.All(
                node.Options, option => Assert.False(string.IsNullOrEmpty(option.Description), node.FullName + option.Name));
        }
        Assert.DoesNotContain("manual scdoc", page);
    }

    /// <summary>A line, what may follow it among other things, and whether that needs a word from the agent. Options are wanted
    /// behind a dash: not each shell offers them without.</summary>
    public static TheoryData<string, string, bool> Lines => new()
    {
        { "virttier ", "status set hook", false },
        { "virttier st", "status", false },
        { "virttier hook ", "install remove", false },
        { "virttier set vm --dr", "--dram", false },
        { "virttier set --mode ", "enforce observe off", false },
        { "virttier set --dram ", "", false },
        { "virttier set --", "--dram --mode --live", false },
        { "virttier set ", "web1 3b1f4a52-0000-0000-0000-000000000001", true },
        { "virttier set w", "web1", true },
        { "virttier replay --policy fre", "freeze", false },
        { "virttier report --html /etc/hostna", "/etc/hostname", false },
    };

    [Theory]
    [MemberData(nameof(Lines))]
    public Task Bash_completes(string line, string wanted, bool asks) => CompletesAsync(line, wanted, asks, Bash);

    [Theory]
    [MemberData(nameof(Lines))]
    [Trait("Ring", "host")]
    public Task Zsh_completes(string line, string wanted, bool asks)
    {
        HostRing.RequirePrograms("zsh");
        return CompletesAsync(line, wanted, asks, Zsh);
    }

    [Theory]
    [MemberData(nameof(Lines))]
    [Trait("Ring", "host")]
    public Task Fish_completes(string line, string wanted, bool asks)
    {
        HostRing.RequirePrograms("fish");
        return CompletesAsync(line, wanted, asks, Fish);
    }

    [Fact]
    public void Each_shell_has_every_command_and_option()
    {
        foreach (CommandNode node in CommandNode.All(_root))
        {
            Assert.Contains($"'{node.FullName}')", Completions.Bash(_root));
            Assert.Contains($"'{node.FullName}')", Completions.Zsh(_root));
            foreach (Option option in node.Options)
            {
                Assert.Contains(option.Name, Completions.Bash(_root));
                Assert.Contains($"'{option.Name}:", Completions.Zsh(_root));
                Assert.Contains($" -l {option.Name[2..]} ", Completions.Fish(_root));
            }
        }
    }

    [Fact]
    public void Text_that_a_shell_reads_otherwise_is_escaped()
    {
        RootCommand root = new("r") { new Command("it", "It's a \\ of: things") };

        Assert.Contains("'it:It'\\''s a \\ of\\: things'", Completions.Zsh(root));
        Assert.Contains("-d 'It\\'s a \\\\ of: things'", Completions.Fish(root));
    }

    /// <summary>The shell, with a tool that knows two domains, offers what is wanted at the end of the line.</summary>
    private async Task CompletesAsync(string line, string wanted, bool asks, Func<string, string[]> shell)
    {
        string tool = Write("virttier", "#!/bin/sh\n: > asked\nprintf 'web1\\n3b1f4a52-0000-0000-0000-000000000001\\n'\n");
        File.SetUnixFileMode(tool, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        string[] command = shell(line);
        ProcessStartInfo start = new(command[0], command[1..])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _folder.FullName,
        };
        start.Environment["PATH"] = $"{_folder.FullName}:{Environment.GetEnvironmentVariable("PATH")}";
        // Neither the user's own settings, nor a word in his history.
        start.Environment["HOME"] = start.Environment["XDG_CONFIG_HOME"] = start.Environment["XDG_DATA_HOME"] = _folder.FullName;
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);

        Assert.Equal("", await error);
        string[] offered = output.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries);
        string[] words = wanted.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(words.Order(), (words.Length == 0 ? offered : offered.Intersect(words)).Order());
        Assert.DoesNotContain("manual", offered);
        Assert.Equal(asks, File.Exists(Path.Combine(_folder.FullName, "asked")));
    }

    private string[] Bash(string line)
    {
        string[] words = line.Split(' ');
        return
        [
            "bash", "--norc", "-c",
            Completions.Bash(_root)
                + $"COMP_WORDS=({string.Join(' ', words.Select(word => $"'{word}'"))}) COMP_CWORD={words.Length - 1}\n"
                + "_virttier\necho \"${COMPREPLY[*]}\"\n",
        ];
    }

    // Its line editor wants a terminal, which zpty makes. All that is offered is inserted; the line's beginning is not told.
    private string[] Zsh(string line)
    {
        Write("_virttier", Completions.Zsh(_root));
        Write("inner", $$"""
            fpath=($PWD $fpath)
            autoload -U compinit
            compinit -D -u
            insert_all() { _main_complete; compstate[insert]=all }
            zle -C insert_all complete-word insert_all
            ask() { BUFFER='{{line}}' CURSOR={{line.Length}}; zle insert_all; print -r -- $BUFFER > answer; exit }
            zle -N ask
            bindkey '^X' ask
            """);
        return
        [
            "zsh", "-f", "-c", $$"""
                zmodload zsh/zpty
                zpty inner zsh -f -i
                zpty -w inner 'PROMPT= && source ./inner'
                zpty -n -w inner $'\x18'
                while zpty -r inner said; do print -r -- $said >> said; done
                answer=$(< answer) || cat said >&2
                print -r -- ${answer#'{{line[..(line.LastIndexOf(' ') + 1)]}}'}
                """,
        ];
    }

    private string[] Fish(string line)
    {
        Write("virttier.fish", Completions.Fish(_root));
        return ["fish", "--no-config", "-c", $"source virttier.fish; complete -C '{line}' | string split -f 1 \\t"];
    }

    private string Write(string name, string text)
    {
        string file = Path.Combine(_folder.FullName, name);
        File.WriteAllText(file, text);
        return file;
    }
}
