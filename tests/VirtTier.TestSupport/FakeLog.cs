// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;

namespace VirtTier.TestSupport;

/// <summary>Keeps what is logged, as it would be read.</summary>
internal sealed class FakeLog : ILogger
{
    private readonly Lock _lock = new();
    private readonly List<(LogLevel Level, string Line)> _lines = [];

    /// <summary>Told of each line.</summary>
    internal event Action<string>? Written;

    internal IReadOnlyList<string> Lines => LinesFrom(LogLevel.Trace);

    /// <summary>Lines of this level and above.</summary>
    internal IReadOnlyList<string> LinesFrom(LogLevel least)
    {
        lock (_lock)
            return [.. _lines.Where(line => line.Level >= least).Select(line => line.Line)];
    }

    internal void Clear()
    {
        lock (_lock)
            _lines.Clear();
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        string line = formatter(state, exception) + (exception is null ? "" : $" ({exception})");
        lock (_lock)
            _lines.Add((logLevel, line));
        Written?.Invoke(line);
    }
}
