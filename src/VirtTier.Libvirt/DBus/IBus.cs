// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.DBus;

/// <summary>
/// A message bus as VirtTier uses it: calls out, signals in, objects exported, a name owned. What is subscribed, exported
/// and owned is declared once and holds for the life of this object: after the bus goes away and comes back, the
/// implementation connects again and puts all of it back.
/// </summary>
/// <remarks>
/// Handlers of signals run on the thread that reads the bus, one at a time and in the order of arrival: they must return at once
/// and never wait for a call on the same bus. Results of calls come on other threads.
/// </remarks>
public interface IBus : IAsyncDisposable
{
    /// <summary>Whether the bus can be reached now, and if not, why.</summary>
    BusState State { get; }

    /// <summary>Raised, by one thread at a time, whenever <see cref="State"/> changes.</summary>
    event Action<BusState>? StateChanged;

    /// <summary>Calls a method and returns the body of its reply.</summary>
    /// <param name="request">The method, its arguments and how long to wait for the reply.</param>
    /// <param name="cancel">Gives up waiting; the called service still does its work.</param>
    /// <exception cref="BusException">
    /// The service answered with an error, did not answer in time (<see cref="BusException.NoReply"/>), or the bus is not
    /// reachable (<see cref="BusException.Disconnected"/>).
    /// </exception>
    Task<BusBody> CallAsync(BusCall request, CancellationToken cancel = default);

    /// <summary>Receives the signals that match a rule until the returned handle is disposed.</summary>
    /// <param name="matchRule">A D-Bus match rule. Name the sender in it: anyone on a bus may send look-alike signals.</param>
    /// <exception cref="ArgumentException">It is no match rule.</exception>
    /// <param name="handler">Called for each signal.</param>
    IDisposable Subscribe(string matchRule, Action<BusSignal> handler);

    /// <summary>Answers method calls on one object path, until the returned handle is disposed.</summary>
    /// <param name="path">The object's path.</param>
    /// <param name="introspection">The object's introspection data, the whole <c>&lt;node&gt;</c> document.</param>
    /// <param name="handler">
    /// Gives the reply's body. A <see cref="BusException"/> becomes the error reply of its name; any other exception a
    /// general failure. For a member that it does not know it throws <see cref="BusException.ForUnknownMethod"/>.
    /// </param>
    IDisposable Export(string path, string introspection, Func<BusMethodCall, Task<BusBody>> handler);

    /// <summary>Owns a well-known name, or queues for it while another connection has it.</summary>
    /// <param name="name">The name. A refusal by the bus's policy is logged.</param>
    void OwnName(string name);

    /// <summary>Emits a signal; dropped while the bus is not reachable.</summary>
    /// <param name="signal">The signal; its sender is ignored.</param>
    void Emit(BusSignal signal);
}
