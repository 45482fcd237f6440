// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Status;

/// <summary>One setting that holds for a domain, and where it is from.</summary>
/// <param name="Attribute">Which.</param>
/// <param name="Value">What holds.</param>
/// <param name="From"><c>metadata</c> (<c>tags</c>, <c>annotation</c>), <c>flavor NAME</c>, <c>rule at FILE:LINE</c>,
/// <c>defaults</c> or <c>built in</c>.</param>
internal sealed record SettingOrigin(string Attribute, string Value, string From)
{
    /// <summary>What was asked for and what cut it; null when nothing did.</summary>
    public string? Cut { get; init; }
}
