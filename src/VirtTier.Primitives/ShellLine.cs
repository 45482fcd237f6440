// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Primitives;

/// <summary>Commands that are printed for a person to paste into a POSIX shell: each word arrives as it was meant,
/// whatever is in it.</summary>
public static class ShellLine
{
    private const string Plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,-";

    /// <summary>A command of these words.</summary>
    public static string Of(params IEnumerable<string> words) => string.Join(' ', words.Select(Quote));

    /// <summary>A command that writes a line into a file.</summary>
    public static string Write(string text, string file) => $"{Of("echo", text)} > {Quote(file)}";

    private static string Quote(string word) => word.Length > 0 && word.All(Plain.Contains)
        ? word
        : $"'{word.Replace("'", """'\''""", StringComparison.Ordinal)}'";
}
