// SPDX-License-Identifier: Apache-2.0
using Tmds.DBus.Protocol;

namespace VirtTier.Libvirt.DBus;

// Calls out and signals out.
public sealed partial class SystemBus
{
    /// <inheritdoc/>
    public async Task<BusBody> CallAsync(BusCall request, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        Task<DBusConnection?> attempt;
        lock (_lock)
            attempt = _attempt.Task;
        // While connected the call goes out before this returns: what was subscribed before it is in force when it is answered.
        if (!attempt.IsCompleted)
            await WithinAsync(attempt, request, cancel).ConfigureAwait(false);
        DBusConnection connection = await attempt.ConfigureAwait(false) ?? throw NotConnected();
        try
        {
            return await CallAsync(connection, request, cancel).ConfigureAwait(false);
        }
        catch (Exception e) when (e is DBusConnectionException or DBusConnectionClosedException or ObjectDisposedException)
        {
            throw NotConnected();
        }
    }

    /// <inheritdoc/>
    public void Emit(BusSignal signal)
    {
        ArgumentNullException.ThrowIfNull(signal);
        lock (_lock)
        {
            if (_connection is { } connection)
                connection.TrySendMessage(MessageCodec.Encode(connection, signal));
        }
    }

    /// <summary>Calls over one connection; that it ends is not translated.</summary>
    internal static async Task<BusBody> CallAsync(DBusConnection connection, BusCall request, CancellationToken cancel)
    {
        MessageBuffer message = MessageCodec.Encode(connection, request);
        Task<BusBody> reply = connection.CallMethodAsync(message, static (answer, _) => MessageCodec.Decode(answer), null);
        try
        {
            return await WithinAsync(reply, request, cancel).ConfigureAwait(false);
        }
        catch (DBusErrorReplyException e)
        {
            throw new BusException(e.ErrorName, e.ErrorMessage);
        }
        catch (DBusReadException e)
        {
            throw new BusException(BusException.InvalidSignature, $"the answer to {request.Member} cannot be read: {e.Message}");
        }
    }

    private static async Task<T> WithinAsync<T>(Task<T> task, BusCall request, CancellationToken cancel)
    {
        try
        {
            return await OffTheReader(task).WaitAsync(request.Timeout, cancel).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new BusException(
                BusException.NoReply,
                $"{request.Destination} did not answer {request.Member} within {request.Timeout.TotalSeconds:0.###} s");
        }
    }

    private BusException NotConnected() => new(
        BusException.Disconnected, _state.Reason ?? $"the bus at {_address} went away");
}
