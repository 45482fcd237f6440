// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.TestSupport;

/// <summary>A bus that counts the calls which go out over it.</summary>
internal sealed class CountingBus(IBus bus) : IBus
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, int> _members = []; // under _lock
    private int _calls, _underWay, _mostAtOnce; // under _lock

    public event Action<BusState>? StateChanged
    {
        add => bus.StateChanged += value;
        remove => bus.StateChanged -= value;
    }

    public BusState State => bus.State;

    /// <summary>Calls so far.</summary>
    internal int Calls
    {
        get
        {
            lock (_lock)
                return _calls;
        }
    }

    /// <summary>Of these, the calls of a method.</summary>
    internal int CallsOf(string member)
    {
        lock (_lock)
            return _members.GetValueOrDefault(member);
    }

    /// <summary>The most calls that waited for their answers at the same time.</summary>
    internal int MostAtOnce
    {
        get
        {
            lock (_lock)
                return _mostAtOnce;
        }
    }

    public async Task<BusBody> CallAsync(BusCall request, CancellationToken cancel = default)
    {
        lock (_lock)
        {
            _calls++;
            _members[request.Member] = _members.GetValueOrDefault(request.Member) + 1;
            _mostAtOnce = Math.Max(_mostAtOnce, ++_underWay);
        }

        try
        {
            return await bus.CallAsync(request, cancel);
        }
        finally
        {
            lock (_lock)
                _underWay--;
        }
    }

    public IDisposable Subscribe(string matchRule, Action<BusSignal> handler) => bus.Subscribe(matchRule, handler);

    public IDisposable Export(string path, string introspection, Func<BusMethodCall, Task<BusBody>> handler) =>
        bus.Export(path, introspection, handler);

    public void OwnName(string name) => bus.OwnName(name);

    public void Emit(BusSignal signal) => bus.Emit(signal);

    public ValueTask DisposeAsync() => bus.DisposeAsync();
}
