// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Agent.Commands;

namespace VirtTier.Agent.Tests;

/// <summary>Every option that takes one of a few words takes these, and says which they are where it is given another.</summary>
public sealed class WordOptionTests
{
    private static readonly Command[] s_commands = [.. CommandTree.Create().Subcommands];

    public static TheoryData<string, string> Options => [.. s_commands.SelectMany(command => command.Options
        .Where(option => option.ValueType.IsEnum || option.Name is "--unit" or "--policy")
        .Where(option => option.Name != "--kinds") // one or more letters: a word of its own
        .Select(option => (command.Name, option.Name)))];

    [Fact]
    public void There_are_such_options() => Assert.Equal(6, Options.Count);

    [Theory]
    [MemberData(nameof(Options))]
    public void Its_words_are_taken_in_any_case_and_nothing_else_is(string command, string option)
    {
        string[] words = [.. s_commands.Single(c => c.Name == command).Options.Single(o => o.Name == option)
            .GetCompletions(System.CommandLine.Completions.CompletionContext.Empty).Select(word => word.Label)];
        Assert.InRange(words.Length, 2, 20);
        foreach (string word in words)
        {
            Assert.Null(Refusal(command, option, word));
            Assert.Null(Refusal(command, option, word.ToUpperInvariant()));
        }
        foreach (string other in (string[])["0", "1", "77", "-1", $"{words[0]},{words[1]}", $"{words[0]} ", "sideways", "x\ty"])
        {
            string? refusal = Refusal(command, option, other);
            Assert.StartsWith($"{option} '", refusal, StringComparison.Ordinal);
            Assert.All(words, word => Assert.Contains(word, refusal, StringComparison.Ordinal));
        }
    }

    private static string? Refusal(string command, string option, string value)
    {
        string[] rest = command == "replay" ? ["trace", "--dram", "20%"] : [];
        return s_commands.Single(c => c.Name == command).Parse([.. rest, $"{option}={value}"]).Errors is [var error, ..]
            ? error.Message : null;
    }
}
