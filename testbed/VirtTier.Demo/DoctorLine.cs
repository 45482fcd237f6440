// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;

namespace VirtTier.Demo;

/// <summary>One finding of <c>virttier doctor --json</c>.</summary>
/// <param name="Check">What was looked at.</param>
/// <param name="Severity">Ok, Warning or Error.</param>
/// <param name="Text">What was found.</param>
/// <param name="Mend">The command that mends it; null when nothing is wrong.</param>
internal sealed record DoctorLine(string Check, string Severity, string Text, string? Mend)
{
    public static DoctorLine FromJson(JsonElement finding) => new(
        finding.GetProperty("check").GetString()!, finding.GetProperty("severity").GetString()!,
        finding.GetProperty("text").GetString()!,
        finding.TryGetProperty("mend", out JsonElement mend) ? mend.GetString() : null);
}
