// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Primitives;

namespace VirtTier.Agent.Status;

/// <summary>A running domain that people name.</summary>
internal interface INamedDomain
{
    /// <summary>What tells it from all others.</summary>
    DomainKey Key { get; }

    /// <summary>Its name.</summary>
    string Name { get; }

    /// <summary>Its UUID.</summary>
    Guid Uuid { get; }

    /// <summary>Its process; null when that is not known.</summary>
    int? Pid { get; }
}

/// <summary>Names of running domains, where several may have one name or UUID.</summary>
internal static class NamedDomains
{
    /// <summary>The domain that somebody means: by source and name, by name, by UUID, or as <c>pid:N</c>; the first of these that
    /// fits any.</summary>
    /// <param name="domains">The running domains.</param>
    /// <param name="text">What was said.</param>
    /// <exception cref="NotKnownException">None has it, or several do: the message names them.</exception>
    public static T Find<T>(this IReadOnlyList<T> domains, string text)
        where T : INamedDomain
    {
        Func<T, bool>[] ways =
        [
            d => d.Key.Full == text,
            d => d.Name == text,
            d => Guid.TryParse(text, out Guid uuid) && d.Uuid == uuid,
            d => $"{d.Key.Source}:{d.Name}" == text,
            d => $"pid:{d.Pid}" == text,
        ];
        T[] found = [.. ways.Select(way => domains.Where(way)).FirstOrDefault(fits => fits.Any()) ?? []];
        return found switch
        {
            [T only] => only,
            [] => throw new NotKnownException($"no running domain has the name or UUID '{Shorten.ForMessage(text)}'"),
            _ => throw new NotKnownException($"{found.Length} running domains have the name or UUID "
                + $"'{Shorten.ForMessage(text)}'; say which: {string.Join(", ", found.Take(MostNamed).Select(Describe))}"
                + (found.Length > MostNamed ? ", ..." : "")) { IsAmbiguous = true },
        };
    }

    /// <summary>A domain's name among others: with its source, or process, where more than one has it.</summary>
    public static string Shown(this IEnumerable<INamedDomain> domains, INamedDomain domain)
    {
        INamedDomain[] same = [.. domains.Where(d => d.Name == domain.Name)];
        string name = Shorten.ForMessage(domain.Name);
        return same.Length <= 1 ? name
            : same.Count(d => d.Key.Source == domain.Key.Source) == 1 ? $"{name} ({domain.Key.Source})"
            : $"{name} ({domain.Key.Source}, process {(domain.Pid is { } pid ? $"{pid}" : "unknown")})";
    }

    private const int MostNamed = 5;

    private static string Describe<T>(T domain)
        where T : INamedDomain =>
        Shorten.ForMessage(domain.Key.Full) + (domain.Pid is { } pid ? $" (or pid:{pid})" : "");
}

/// <summary>The agent does not know what was asked of a domain; the message says why.</summary>
internal sealed class NotKnownException(string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Whether more than one domain may be meant.</summary>
    public bool IsAmbiguous { get; init; }
}
