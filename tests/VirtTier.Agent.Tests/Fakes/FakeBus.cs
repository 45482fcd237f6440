// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.Agent.Tests.Fakes;

/// <summary>A bus on which one object is exported and called.</summary>
internal sealed class FakeBus : IBus
{
    private Func<BusMethodCall, Task<BusBody>>? _handler;

    public BusState State { get; set; } = new(true, null);

    public event Action<BusState>? StateChanged
    {
        add { }
        remove { }
    }

    /// <summary>The name that was asked for.</summary>
    public string? Name { get; private set; }

    /// <summary>What a call from outside throws, if anything.</summary>
    public BusException? CallError { get; set; }

    /// <summary>What answers calls from outside; null: the exported object.</summary>
    public Func<BusCall, BusBody>? Answer { get; set; }

    /// <summary>Calls the exported object as this user.</summary>
    public Task<BusBody> CallAsync(uint uid, string member, params object[] arguments) =>
        _handler!(new BusMethodCall(":1.1", uid, "org.virttier.Agent1", member,
            new BusBody(new string('s', arguments.Length), arguments)));

    /// <summary>Calls another interface of the exported object.</summary>
    public Task<BusBody> CallInterfaceAsync(string name, string member, params object[] arguments) =>
        _handler!(new BusMethodCall(":1.1", 0, name, member, new BusBody(new string('s', arguments.Length), arguments)));

    public Task<BusBody> CallAsync(BusCall call, CancellationToken cancel = default) =>
        Answer is not null ? Task.Run(() => Answer(call), cancel)
        : CallError is null ? CallAsync(0, call.Member, [.. call.Body.Values]) : Task.FromException<BusBody>(CallError);

    /// <summary>No signal ever comes.</summary>
    public IDisposable Subscribe(string matchRule, Action<BusSignal> handler) => new Subscription();

    public IDisposable Export(string path, string introspection, Func<BusMethodCall, Task<BusBody>> handler)
    {
        _handler = handler;
        return new Unexport(this);
    }

    public void OwnName(string name) => Name = name;

    public void Emit(BusSignal signal) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private sealed class Subscription : IDisposable
    {
        public void Dispose()
        {
        }
    }

    private sealed class Unexport(FakeBus bus) : IDisposable
    {
        public void Dispose() => bus._handler = null;
    }
}
