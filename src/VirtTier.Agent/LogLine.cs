// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using VirtTier.Primitives;

namespace VirtTier.Agent;

/// <summary>
/// How the agent's messages look in the journal: its priority, who says it, the event, and the message in one line. Names and
/// texts in them are anybody's: whatever they hold, a line is short and speaks to no terminal.
/// </summary>
internal sealed class LogLine() : ConsoleFormatter(FormatterName)
{
    public const string FormatterName = "virttier";

    /// <inheritdoc/>
    public override void Write<TState>(in LogEntry<TState> logEntry, IExternalScopeProvider? scopeProvider, TextWriter textWriter)
    {
        textWriter.Write(string.Create(CultureInfo.InvariantCulture,
            $"<{Priority(logEntry.LogLevel)}>{logEntry.Category}[{logEntry.EventId.Id}] "));
        textWriter.Write(Shorten.Line(logEntry.Formatter(logEntry.State, logEntry.Exception)));
        if (logEntry.Exception is not null)
            textWriter.Write(" " + Shorten.Trace(logEntry.Exception.ToString()));
        textWriter.Write('\n');
    }

    // Those of syslog(3), as sd-daemon(3) has them.
    private static int Priority(LogLevel level) => level switch
    {
        LogLevel.Critical => 2,
        LogLevel.Error => 3,
        LogLevel.Warning => 4,
        LogLevel.Information => 6,
        _ => 7,
    };
}
