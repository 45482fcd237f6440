// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Pictures;

/// <summary>Keeps the last things that were logged of each domain, with their times, and passes all on to the log.</summary>
/// <param name="log">The log.</param>
/// <param name="time">The clock.</param>
internal sealed class DomainEvents(ILogger log, TimeProvider time) : ILogger
{
    private const int Kept = 12;

    // Domains come and go; who has not been heard of for long makes room.
    private const int MostDomains = 4096;

    private readonly ConcurrentDictionary<DomainKey, Queue<DomainEvent>> _events = [];

    /// <summary>The last events of a domain, the oldest first.</summary>
    public IReadOnlyList<DomainEvent> Of(DomainKey domain)
    {
        if (!_events.TryGetValue(domain, out Queue<DomainEvent>? events))
            return [];
        lock (events)
            return [.. events];
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => log.BeginScope(state);

    public bool IsEnabled(LogLevel logLevel) => log.IsEnabled(logLevel);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        log.Log(logLevel, eventId, state, exception, formatter);
        if (logLevel >= LogLevel.Information && DomainOf(state) is { } domain)
            Keep(domain, formatter(state, exception));
    }

    private static DomainKey? DomainOf<TState>(TState state) =>
        (state as IReadOnlyList<KeyValuePair<string, object?>>)?.FirstOrDefault(
            value => value.Key == "Domain").Value as DomainKey?;

    private void Keep(DomainKey domain, string text)
    {
        if (_events.Count >= MostDomains)
            _events.Clear();
        Queue<DomainEvent> events = _events.GetOrAdd(domain, _ => []);
        lock (events)
        {
            // Every line of a domain begins with its name, which is known to who asks.
            string prefix = $"{domain}: ";
            events.Enqueue(new DomainEvent(
                time.GetUtcNow(), text.StartsWith(prefix, StringComparison.Ordinal) ? text[prefix.Length..] : text));
            while (events.Count > Kept)
                events.Dequeue();
        }
    }
}

/// <param name="Time">When it happened.</param>
/// <param name="Text">What, in a sentence.</param>
internal sealed record DomainEvent(DateTimeOffset Time, string Text);
