// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary>Options that take one of a few words. Help, completions and errors say which.</summary>
internal static class WordOption
{
    /// <summary>One of an enumeration's names, in any case; not its numbers, and not several at once.</summary>
    public static Option<T> Of<T>(string name, string description, T unlessGiven)
        where T : struct, Enum =>
        Create(name, description, [.. Enum.GetValues<T>().Select(v => (v.ToString().ToLowerInvariant(), v))], unlessGiven);

    /// <summary>One of these words.</summary>
    public static Option<string> Of(string name, string description, IReadOnlyCollection<string> words, string unlessGiven) =>
        Create(name, description, [.. words.Select(word => (word, word))], unlessGiven);

    private static Option<T> Create<T>(
        string name, string description, IReadOnlyList<(string Word, T Value)> choices, T unlessGiven)
    {
        Option<T> option = new(name)
        {
            Description = description,
            DefaultValueFactory = _ => unlessGiven,
            CustomParser = result =>
            {
                string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
                foreach ((string word, T value) in choices)
                {
                    if (string.Equals(word, text, StringComparison.OrdinalIgnoreCase))
                        return value;
                }
                string words = string.Join(", ", choices.SkipLast(1).Select(c => c.Word)) + " or " + choices[^1].Word;
                result.AddError($"{name} '{Shorten.ForMessage(text)}': must be {words}");
                return unlessGiven;
            },
        };
        option.CompletionSources.Clear();
        option.CompletionSources.Add([.. choices.Select(c => c.Word)]);
        return option;
    }
}
