// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Diagnostics;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Manual;

namespace VirtTier.Agent.Tests;

/// <summary>The manual page and the shells' completions: all of the command tree is in them, and what is hidden is not.</summary>
public class ManualTests
{
    private readonly RootCommand _root = CommandTree.Create();

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

    [Theory]
    [InlineData("virttier ", "status")]
    [InlineData("virttier st", "status")]
    [InlineData("virttier hook ", "install remove")]
    [InlineData("virttier set vm --dr", "--dram")]
    [InlineData("virttier set --mode ", "enforce observe off")]
    [InlineData("virttier set --dram ", "")]
    [InlineData("virttier set ", "web1 3b1f4a52-0000-0000-0000-000000000001")]
    [InlineData("virttier replay --policy fre", "freeze")]
    public async Task Bash_completes(string line, string wanted)
    {
        string completed = await CompleteAsync(line);

        Assert.Equal(
            wanted, wanted.Length == 0 ? completed : string.Join(' ', completed.Split(' ').Intersect(wanted.Split(' '))));
        Assert.DoesNotContain("manual", completed);
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

    /// <summary>What a real bash offers at the end of the line, with a tool that knows two domains.</summary>
    private async Task<string> CompleteAsync(string line)
    {
        string[] words = line.Split(' ');
        string script = "virttier() { printf 'web1\\n3b1f4a52-0000-0000-0000-000000000001\\n'; }\n" + Completions.Bash(_root)
            + $"COMP_WORDS=({string.Join(' ', words.Select(word => $"'{word}'"))}) COMP_CWORD={words.Length - 1}\n"
            + "_virttier\necho \"${COMPREPLY[*]}\"\n";
        ProcessStartInfo start = new("bash", ["--norc", "-c", script])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process bash = Process.Start(start)!;
        string output = await bash.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.Equal("", await bash.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
        return output.TrimEnd('\n');
    }
}
