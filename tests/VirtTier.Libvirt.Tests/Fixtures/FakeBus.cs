// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.Libvirt.Tests.Fixtures;

/// <summary>A bus in memory, with services played by functions.</summary>
internal sealed class FakeBus : IBus
{
    private readonly List<(string Rule, Action<BusSignal> Handler)> _subscriptions = [];

    public event Action<BusState>? StateChanged;

    public BusState State { get; private set; } = new(true, null);

    /// <summary>The services by bus name. A name that is not here is not running.</summary>
    internal Dictionary<string, Func<BusCall, Task<BusBody>>> Services { get; } = [];

    internal List<BusCall> Calls { get; } = [];

    internal int SubscriptionCount => _subscriptions.Count;

    public Task<BusBody> CallAsync(BusCall request, CancellationToken cancel = default)
    {
        lock (Calls)
            Calls.Add(request);
        if (!State.Connected)
            return Task.FromException<BusBody>(new BusException(BusException.Disconnected, State.Reason!));
        return Services.TryGetValue(request.Destination, out var service)
            ? service(request).WaitAsync(cancel)
            : Task.FromException<BusBody>(
                new BusException(BusException.ServiceUnknown, $"{request.Destination} was not provided by any .service files"));
    }

    public IDisposable Subscribe(string matchRule, Action<BusSignal> handler)
    {
        (string, Action<BusSignal>) subscription = (matchRule, handler);
        _subscriptions.Add(subscription);
        return new Undo(() => _subscriptions.Remove(subscription));
    }

    public IDisposable Export(string path, string introspection, Func<BusMethodCall, Task<BusBody>> handler) =>
        throw new NotSupportedException();

    public void OwnName(string name) => throw new NotSupportedException();

    public void Emit(BusSignal signal) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>Delivers a signal to those who match its sender, given by well-known name.</summary>
    internal void Raise(string sender, string path, string @interface, string member, BusBody body)
    {
        foreach (var (rule, handler) in _subscriptions.ToArray())
        {
            if (rule.Contains($"sender='{sender}'", StringComparison.Ordinal))
                handler(new(sender, path, @interface, member, body));
        }
    }

    internal void SetState(BusState state)
    {
        State = state;
        StateChanged?.Invoke(state);
    }

    private sealed class Undo(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}
