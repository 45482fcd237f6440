// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Tests.Pictures;

/// <summary>Holds <c>docs/usage.md</c> to what the commands print.</summary>
internal static class Usage
{
    /// <summary>Fails unless the document shows this below the command, to the end of the block.</summary>
    public static void Shows(string command, string output)
    {
        string[] lines = File.ReadAllLines(Path.Combine(Repository.Root, "docs", "usage.md"));
        int at = Array.IndexOf(lines, $"$ {command}");
        Assert.True(at >= 0, $"docs/usage.md has no line '$ {command}'");
        string shown = string.Join('\n', lines.Skip(at + 1).TakeWhile(line => line != "```"));
        Assert.True(shown == output, $"docs/usage.md shows something else below '$ {command}' than is printed:\n{output}");
    }
}
