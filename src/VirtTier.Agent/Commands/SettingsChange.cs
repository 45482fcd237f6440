// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Commands;

/// <summary>What <c>virttier set</c> is asked to change in a domain's settings.</summary>
/// <param name="Set">Attributes and their new values.</param>
/// <param name="Unset">Attributes to take out, known ones or not.</param>
/// <param name="RemoveAll">Take out all that are not set.</param>
internal sealed record SettingsChange(
    IReadOnlyDictionary<string, string> Set, IReadOnlyList<string> Unset, bool RemoveAll)
{
    /// <summary>The attributes after the change: those that it does not name stay as they are, in their order.</summary>
    /// <exception cref="SettingsRefusedException">The settings would not be good; nothing may be written.</exception>
    public IReadOnlyList<KeyValuePair<string, string>> ApplyTo(DomainSettings current)
    {
        List<KeyValuePair<string, string>> attributes = RemoveAll
            ? []
            : [.. current.Attributes.Where(a => !Unset.Contains(a.Key)).Select(
                a => KeyValuePair.Create(a.Key, Set.GetValueOrDefault(a.Key, a.Value)))];
        attributes.AddRange(Set.Where(s => attributes.TrueForAll(a => a.Key != s.Key)));
        (_, IReadOnlyList<SettingsProblem> problems) = TieringSettings.FromAttributes(attributes, current.MemoryBytes);
        return problems.Count == 0 ? attributes : throw new SettingsRefusedException(string.Join('\n', problems.Select(Explain)));
    }

    private string Explain(SettingsProblem problem) => Set.ContainsKey(problem.Attribute)
        ? $"--{problem.Attribute}: {problem.Message}"
        : $"{problem.Attribute}=\"{problem.Value}\" was there before: {problem.Message}; "
            + $"take it out with --unset {problem.Attribute}";
}

/// <summary>The settings would not be good; the message says which attribute and what would be right, a line each.</summary>
internal sealed class SettingsRefusedException(string message) : Exception(message);
