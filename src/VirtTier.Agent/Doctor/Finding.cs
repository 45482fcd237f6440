// SPDX-License-Identifier: Apache-2.0
using System.Text.Json.Serialization;

namespace VirtTier.Agent.Doctor;

/// <summary>What was found about one prerequisite.</summary>
/// <param name="Check">What was looked at, in a word or two.</param>
/// <param name="Severity">How bad it is.</param>
/// <param name="Text">What was found, in a sentence.</param>
/// <param name="Mend">The command that mends it, or changes what is noted; null when nothing is to be mended, or no command is
/// known that would.</param>
internal sealed record Finding(string Check, Severity Severity, string Text, string? Mend)
{
    public static Finding Ok(string check, string text) => new(check, Severity.Ok, text, null);

    public static Finding Note(string check, string text, string mend) => new(check, Severity.Note, text, mend);

    public static Finding Warning(string check, string text, string mend) => new(check, Severity.Warning, text, mend);

    public static Finding Error(string check, string text, string? mend) => new(check, Severity.Error, text, mend);
}

/// <summary>How bad a finding is.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<Severity>))]
internal enum Severity
{
    /// <summary>As it should be.</summary>
    Ok,

    /// <summary>As it may be, if it is meant so.</summary>
    Note,

    /// <summary>VirtTier works, but less well or less surely than it could.</summary>
    Warning,

    /// <summary>Nothing is tiered before this is mended, or one domain is not.</summary>
    Error,
}
