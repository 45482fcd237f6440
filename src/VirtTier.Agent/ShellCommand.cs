// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>Commands that are printed for a person to paste into a POSIX shell: each word arrives as it was meant,
/// whatever is in it.</summary>
internal static class ShellCommand
{
    private const string Plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,-";

    /// <summary>A command of these words.</summary>
    public static string Of(params IEnumerable<string> words) => string.Join(' ', words.Select(Quote));

    /// <summary>A command of <c>virsh</c> or <c>virttier</c> on one domain, which is named last: both end
    /// their options at <c>--</c>.</summary>
    public static string OnDomain(RunningDomain domain, params IEnumerable<string> words) =>
        OnDomain(domain.Name, domain.Uuid, words);

    /// <summary>The same, for a domain of this name and UUID.</summary>
    public static string OnDomain(string domain, Guid uuid, params IEnumerable<string> words)
    {
        string name = NameOf(domain, uuid);
        return Of(name.StartsWith('-') ? [.. words, "--", name] : [.. words, name]);
    }

    /// <summary>A command that writes a line into a file.</summary>
    public static string Write(string text, string file) => $"{Of("echo", text)} > {Quote(file)}";

    // virsh takes a number for an id and a UUID for one before it looks at names. What cannot be seen cannot be copied.
    private static string NameOf(string domain, Guid uuid) =>
        domain.All(char.IsAsciiDigit) || Guid.TryParse(domain, out _) || Shorten.ForMessage(domain) != domain
            ? uuid.ToString()
            : domain;

    private static string Quote(string word) => word.Length > 0 && word.All(Plain.Contains)
        ? word
        : $"'{word.Replace("'", """'\''""", StringComparison.Ordinal)}'";
}
