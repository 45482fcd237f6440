// SPDX-License-Identifier: Apache-2.0
using Tmds.DBus.Protocol;

namespace VirtTier.Libvirt.DBus;

/// <summary>An object of ours on the bus: hands calls to a handler, with the caller's uid, and its answers back.</summary>
internal sealed class ExportedObject(
    string path, string introspection, Func<BusMethodCall, Task<BusBody>> handler) : IPathMethodHandler
{
    private static readonly TimeSpan s_senderLookupLimit = TimeSpan.FromSeconds(5);

    public string Path => path;

    public bool HandlesChildPaths => false;

    public ValueTask HandleMethodAsync(MethodContext context)
    {
        if (context.IsDBusIntrospectRequest)
        {
            Reply(context, new BusBody("s", introspection));
            return ValueTask.CompletedTask;
        }

        // The next message must not wait for the answer to this one.
        context.DisposesAsynchronously = true;
        _ = AnswerAsync(context);
        return ValueTask.CompletedTask;
    }

    private async Task AnswerAsync(MethodContext context)
    {
        using (context)
        {
            try
            {
                BusSignal envelope = MessageCodec.DecodeSignal(context.Request);
                uint uid = await SenderUidAsync(context.Connection, envelope.Sender).ConfigureAwait(false);
                Reply(context, await handler(
                    new BusMethodCall(envelope.Sender, uid, envelope.Interface, envelope.Member,
                        envelope.Body)).ConfigureAwait(false));
            }
#pragma warning disable CA1031 // the caller gets the error, whatever it is, unless it is gone with its bus
            catch (Exception e)
#pragma warning restore CA1031
            {
                ReplyError(context, e as BusException ?? new BusException(BusException.Failed, e.Message));
            }
        }
    }

    /// <summary>Asked on the call's own connection: after a reconnection the same unique name may be another's.</summary>
    private static async Task<uint> SenderUidAsync(DBusConnection connection, string sender)
    {
        BusBody reply = await SystemBus.CallAsync(connection, new BusCall(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
            new("s", sender), s_senderLookupLimit), CancellationToken.None).ConfigureAwait(false);
        return reply.Get<uint>(0);
    }

    private static void Reply(MethodContext context, BusBody body)
    {
        MessageWriter writer = context.CreateReplyWriter(body.Signature);
        try
        {
            MessageCodec.Append(ref writer, body);
            context.Reply(writer.CreateMessage());
        }
        finally
        {
            writer.Dispose();
        }
    }

    private static void ReplyError(MethodContext context, BusException error)
    {
        try
        {
            string name = MessageCodec.IsErrorName(error.ErrorName) ? error.ErrorName : BusException.Failed;
            context.ReplyError(name, error.Message); // which shows what no D-Bus string may hold as \u0000
        }
        catch (Exception e) when (e is DBusConnectionClosedException or DBusConnectionException or ObjectDisposedException)
        {
            // The caller is gone with its bus.
        }
    }
}
