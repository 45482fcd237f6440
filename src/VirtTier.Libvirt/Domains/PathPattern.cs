// SPDX-License-Identifier: Apache-2.0
using System.IO.Enumeration;

namespace VirtTier.Libvirt.Domains;

/// <summary>Paths in which <c>*</c> and <c>?</c> stand for parts of a name.</summary>
internal static class PathPattern
{
    /// <summary>More than any host runs. Who fills a directory costs no more time than that.</summary>
    internal const int MostEntries = 10_000;

    /// <summary>The paths that there are and that fit, in order. What cannot be read has none.</summary>
    internal static IEnumerable<string> Expand(string pattern)
    {
        IEnumerable<string> paths = ["/"];
        foreach (string part in pattern.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            paths = part.AsSpan().ContainsAny('*', '?')
                ? paths.SelectMany(path => Entries(path, part))
                : paths.Select(path => Path.Combine(path, part));
        }
        return [.. paths.Where(Path.Exists).Take(MostEntries).Order(StringComparer.Ordinal)];
    }

    private static string[] Entries(string directory, string part)
    {
        try
        {
            return [.. Directory.EnumerateFileSystemEntries(directory).Take(MostEntries)
                .Where(path => FileSystemName.MatchesSimpleExpression(part, Path.GetFileName(path), ignoreCase: false))];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
