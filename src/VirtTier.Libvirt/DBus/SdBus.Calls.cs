// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using static VirtTier.Libvirt.DBus.SdBusNative;

namespace VirtTier.Libvirt.DBus;

// Calls out and signals out.
public sealed unsafe partial class SdBus
{
    private readonly HashSet<PendingCall> _pendingCalls = [];

    /// <inheritdoc/>
    public Task<BusBody> CallAsync(BusCall request, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        PendingCall pending = new();

        // Before the call is on its way: the answer may be there at once, and has to find what it is to take back.
        if (cancellation.CanBeCanceled)
        {
            pending.Cancellation = cancellation.UnsafeRegister(
                _ => Post(() => Finish(pending, completion => completion.TrySetCanceled(cancellation))), null);
        }

        if (!Post(() => Start(request, pending)))
        {
            pending.Cancellation.Unregister();
            return Task.FromException<BusBody>(NotConnected());
        }

        return pending.Completion.Task;
    }

    /// <inheritdoc/>
    public void Emit(BusSignal signal)
    {
        ArgumentNullException.ThrowIfNull(signal);
        Post(() =>
        {
            if (_bus != 0)
                Send(signal);
        });
    }

    private void Start(BusCall call, PendingCall pending)
    {
        if (pending.Completion.Task.IsCompleted)
            return; // cancelled before it could be sent
        try
        {
            if (_bus == 0)
                throw NotConnected();
            Send(call, pending);
        }
        catch (Exception e) when (e is BusException or ArgumentException)
        {
            Finish(pending, completion => completion.TrySetException(e));
        }
    }

    private void Send(BusCall call, PendingCall pending)
    {
        Check(
            sd_bus_message_new_method_call(
                _bus, out nint message, call.Destination, call.Path, call.Interface, call.Member),
            $"make a call of {call.Member} on {call.Path}");
        try
        {
            MessageCodec.Encode(message, call.Body);
            _pendingCalls.Add(pending);
            pending.Handle = HandleFor(reply => OnReply(pending, reply));
            ulong limit = (ulong)call.Timeout.TotalMicroseconds;
            Check(
                sd_bus_call_async(
                    _bus, out pending.Slot, message, &OnNativeCallback, GCHandle.ToIntPtr(pending.Handle), limit),
                $"call {call.Member}");
        }
        finally
        {
            sd_bus_message_unref(message);
        }
    }

    private int OnReply(PendingCall pending, nint reply)
    {
        Error* error = sd_bus_message_get_error(reply);
        if (error != null)
        {
            BusException exception = new(Text(error->Name), Text(error->Message));
            Finish(pending, completion => completion.TrySetException(exception));
            return 1;
        }

        try
        {
            BusBody body = MessageCodec.Decode(reply);
            Finish(pending, completion => completion.TrySetResult(body));
        }
        catch (BusException e)
        {
            Finish(pending, completion => completion.TrySetException(e));
        }

        return 1;
    }

    private void Finish(PendingCall pending, Action<TaskCompletionSource<BusBody>> complete)
    {
        if (_pendingCalls.Remove(pending))
        {
            sd_bus_slot_unref(pending.Slot);
            pending.Handle.Free();
        }

        pending.Cancellation.Unregister();
        complete(pending.Completion);
    }

    private void FailPendingCalls()
    {
        foreach (PendingCall pending in _pendingCalls.ToArray())
            Finish(pending, completion => completion.TrySetException(NotConnected()));
    }

    private void Send(BusSignal signal)
    {
        Check(
            sd_bus_message_new_signal(_bus, out nint message, signal.Path, signal.Interface, signal.Member),
            $"make the signal {signal.Member}");
        try
        {
            MessageCodec.Encode(message, signal.Body);
            Check(sd_bus_send(_bus, message, 0), $"emit {signal.Member}");
        }
        finally
        {
            sd_bus_message_unref(message);
        }
    }

    private BusException NotConnected() =>
        new(BusException.Disconnected, _state.Reason ?? $"the bus at {_address} went away");

    private sealed class PendingCall
    {
        internal nint Slot; // a field: sd-bus writes to its address
        internal GCHandle Handle;

        internal TaskCompletionSource<BusBody> Completion { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        internal CancellationTokenRegistration Cancellation { get; set; }
    }
}
