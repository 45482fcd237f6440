// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>Commands on a domain, as <see cref="ShellLine"/>s.</summary>
internal static class ShellCommand
{
    /// <summary>A command of <c>virsh</c> or <c>virttier</c> on one domain, which is named last: both end
    /// their options at <c>--</c>.</summary>
    public static string OnDomain(RunningDomain domain, params IEnumerable<string> words) =>
        OnDomain(domain.Name, domain.Uuid, words);

    /// <summary>The same, for a domain of this name and UUID.</summary>
    public static string OnDomain(string domain, Guid uuid, params IEnumerable<string> words)
    {
        string name = NameOf(domain, uuid);
        return ShellLine.Of(name.StartsWith('-') ? [.. words, "--", name] : [.. words, name]);
    }

    // virsh takes a number for an id and a UUID for one before it looks at names. What cannot be seen cannot be copied.
    private static string NameOf(string domain, Guid uuid) =>
        domain.All(char.IsAsciiDigit) || Guid.TryParse(domain, out _) || Shorten.ForMessage(domain) != domain
            ? uuid.ToString()
            : domain;
}
