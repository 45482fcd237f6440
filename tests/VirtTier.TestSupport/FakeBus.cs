// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.TestSupport;

/// <summary>A bus in memory, with services played by functions. One object can be exported on it, and called.</summary>
internal sealed class FakeBus : IBus
{
    private readonly List<(string Rule, Action<BusSignal> Handler)> _subscriptions = [];
    private Func<BusMethodCall, Task<BusBody>>? _exported;
    private BusState _state = new(true, null);

    public event Action<BusState>? StateChanged;

    public BusState State
    {
        get => _state;
        internal set
        {
            _state = value;
            StateChanged?.Invoke(value);
        }
    }

    /// <summary>The name that was asked for.</summary>
    internal string? Name { get; private set; }

    /// <summary>The services by bus name. A name that is not here is not running.</summary>
    internal Dictionary<string, Func<BusCall, Task<BusBody>>> Services { get; } = [];

    /// <summary>What every call throws, if anything.</summary>
    internal BusException? CallError { get; set; }

    /// <summary>What answers every call, whomever it is for, on a thread of its own; null: the services, else the exported
    /// object.</summary>
    internal Func<BusCall, BusBody>? Answer { get; set; }

    internal List<BusCall> Calls { get; } = [];

    internal int SubscriptionCount => _subscriptions.Count;

    public Task<BusBody> CallAsync(BusCall request, CancellationToken cancel = default)
    {
        lock (Calls)
            Calls.Add(request);
        if (Answer is not null)
            return Task.Run(() => Answer(request), cancel);
        if (CallError is not null)
            return Task.FromException<BusBody>(CallError);
        if (!State.Connected)
            return Task.FromException<BusBody>(new BusException(BusException.Disconnected, State.Reason!));
        if (Services.TryGetValue(request.Destination, out var service))
            return service(request).WaitAsync(cancel);
        return _exported is not null
            ? CallAsync(0, request.Member, [.. request.Body.Values])
            : Task.FromException<BusBody>(
                new BusException(BusException.ServiceUnknown, $"{request.Destination} was not provided by any .service files"));
    }

    public IDisposable Subscribe(string matchRule, Action<BusSignal> handler)
    {
        (string, Action<BusSignal>) subscription = (matchRule, handler);
        _subscriptions.Add(subscription);
        return new OnDispose(() => _subscriptions.Remove(subscription));
    }

    public IDisposable Export(string path, string introspection, Func<BusMethodCall, Task<BusBody>> handler)
    {
        _exported = handler;
        return new OnDispose(() => _exported = null);
    }

    public void OwnName(string name) => Name = name;

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

    /// <summary>Calls the exported object as this user.</summary>
    internal Task<BusBody> CallAsync(uint uid, string member, params object[] arguments) =>
        CallAsync(uid, "org.virttier.Agent1", member, arguments);

    /// <summary>Calls another interface of the exported object.</summary>
    internal Task<BusBody> CallInterfaceAsync(string name, string member, params object[] arguments) =>
        CallAsync(0, name, member, arguments);

    private Task<BusBody> CallAsync(uint uid, string name, string member, object[] arguments) =>
        _exported!(new BusMethodCall(":1.1", uid, name, member, new BusBody(new string('s', arguments.Length), arguments)));
}
