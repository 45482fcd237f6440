// SPDX-License-Identifier: Apache-2.0
using System.IO.Enumeration;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Agent.Configuration;

/// <summary>One of the configuration's <c>rules</c>: settings for the domains that it matches.</summary>
/// <param name="Place">Where it stands: file and line.</param>
/// <param name="Match">What a domain must be, all of it: a key of <see cref="Keys"/>, or
/// <c>element@attribute</c> of its metadata, and patterns of which one fits. None: every domain.</param>
/// <param name="Set">What holds where neither the owner nor the flavor says anything.</param>
/// <param name="Limit">What cannot be exceeded, whoever asks.</param>
/// <param name="OwnerCounts">Whether the settings in the domain's own metadata count.</param>
internal sealed record SettingsRule(
    string Place, IReadOnlyDictionary<string, IReadOnlyList<string>> Match, TieringSettings Set, TieringSettings Limit,
    bool OwnerCounts)
{
    /// <summary>The keys of a match that are no attribute of metadata.</summary>
    public static IReadOnlyList<string> Keys { get; } =
        ["name", "title", "uuid", "source", "namespace", "label", "flavor", "cgroup"];

    /// <summary>Whether it is for a domain.</summary>
    /// <param name="domain">The domain.</param>
    /// <param name="readCgroup">Gives the cgroup of a process; null when that has ended.</param>
    public bool Fits(RunningDomain domain, Func<int, string?> readCgroup) => Match.All(match =>
        Values(match.Key, domain, readCgroup).Any(value => match.Value.Any(pattern => Fits(pattern, value))));

    /// <summary>Whether it is for every domain that the other is for, as far as their texts show.</summary>
    public bool Covers(SettingsRule other) => Match.All(match => match.Value.Contains("*") && other.Match.ContainsKey(match.Key)
        || (other.Match.TryGetValue(match.Key, out IReadOnlyList<string>? patterns)
            && patterns.All(pattern => match.Value.Any(own => own == pattern || (!HasWildcard(pattern) && Fits(own, pattern))))));

    /// <summary>Why it is for no domain at all; null when it may be.</summary>
    public string? WhyNever(IEnumerable<SettingsRule> before)
    {
        if (before.FirstOrDefault(earlier => earlier.Covers(this)) is { } first)
            return $"the rule at {first.Place} comes first and matches all that this one does";
        if (Match.TryGetValue("uuid", out IReadOnlyList<string>? uuids)
            && uuids.All(uuid => !HasWildcard(uuid) && !Guid.TryParse(uuid, out _)))
            return $"'{Shorten.ForMessage(uuids[0])}' is no UUID";
        return Match.TryGetValue("source", out IReadOnlyList<string>? sources)
            && !sources.Any(pattern => DomainSources.All.Any(source => Fits(pattern, source)))
                ? $"there is no source '{Shorten.ForMessage(sources[0])}': there are {string.Join(", ", DomainSources.All)}"
                : null;
    }

    private static bool HasWildcard(string pattern) => pattern.AsSpan().ContainsAny('*', '?');

    // A backslash escapes a wildcard.
    private static bool Fits(string pattern, string value) =>
        FileSystemName.MatchesSimpleExpression(pattern, value, ignoreCase: false);

    private static IEnumerable<string> Values(string key, RunningDomain domain, Func<int, string?> readCgroup)
    {
        DomainLabels labels = domain.Labels;
        string? value = key switch
        {
            "name" => domain.Name,
            "title" => labels.Title,
            "uuid" => domain.Uuid.ToString(),
            "source" => domain.Source,
            "namespace" => labels.Namespace,
            "flavor" => labels.Flavor,
            "cgroup" => domain.Process is { } process ? readCgroup(process.Pid) : null,
            _ => null,
        };
        if (value is not null)
            return [value];
        if (key == "label")
            return labels.Labels.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return key.Contains('@', StringComparison.Ordinal)
            ? labels.Metadata.Split('\n').Where(line => line.StartsWith(key + "=", StringComparison.Ordinal))
                .Select(line => line[(key.Length + 1)..])
            : [];
    }
}
