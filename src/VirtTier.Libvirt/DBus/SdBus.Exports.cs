// SPDX-License-Identifier: Apache-2.0
using System.Text;
using static VirtTier.Libvirt.DBus.SdBusNative;

namespace VirtTier.Libvirt.DBus;

// Objects exported to others.
public sealed partial class SdBus
{
    private static readonly TimeSpan SenderLookupTimeout = TimeSpan.FromSeconds(5);

    /// <inheritdoc/>
    public IDisposable Export(string path, string introspection, Func<BusMethodCall, Task<BusBody>> handler)
    {
        unsafe int OnCall(nint message)
        {
            if (Text(sd_bus_message_get_interface(message)) == "org.freedesktop.DBus.Introspectable")
                Reply(message, new BusBody("s", introspection));
            else
                _ = AnswerAsync(sd_bus_message_ref(message), _bus, handler);
            return 1;
        }

        unsafe nint Install(nint userdata)
        {
            Check(sd_bus_add_object(_bus, out nint slot, path, &OnNativeCallback, userdata), $"export {path}");
            return slot;
        }

        return Declare(new Declaration(this, OnCall, Install));
    }

    /// <summary>Answers a call, whenever the handler is ready to; owns the reference to the message that it is given.</summary>
    private async Task AnswerAsync(nint message, nint connection, Func<BusMethodCall, Task<BusBody>> handler)
    {
        BusBody? body = null;
        BusException? error = null;
        try
        {
            BusSignal envelope = ReadSignal(message);
            uint uid = await SenderUidAsync(envelope.Sender).ConfigureAwait(false);
            body = await handler(new(envelope.Sender, uid, envelope.Interface, envelope.Member, envelope.Body))
                .ConfigureAwait(false);
        }
#pragma warning disable CA1031 // the caller gets the error, whatever it is
        catch (Exception e)
#pragma warning restore CA1031
        {
            error = e as BusException ?? new BusException(BusException.Failed, e.Message);
        }

        Post(() =>
        {
            // After a reconnection the caller is gone with its bus; the message still has to be let go, on this thread.
            if (_bus == connection && _bus != 0)
                Reply(message, body, error);
            sd_bus_message_unref(message);
        });
    }

    private async Task<uint> SenderUidAsync(string sender)
    {
        BusBody reply = await CallAsync(new(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionUnixUser",
            new("s", sender), SenderLookupTimeout)).ConfigureAwait(false);
        return reply.Get<uint>(0);
    }

    private unsafe void Reply(nint call, BusBody? body, BusException? error = null)
    {
        if (body is not null)
        {
            Check(sd_bus_message_new_method_return(call, out nint reply), "make a reply");
            try
            {
                MessageCodec.Encode(reply, body);
                Check(sd_bus_send(_bus, reply, 0), "reply");
                return;
            }
            catch (ArgumentException e)
            {
                error = new BusException(BusException.Failed, e.Message);
            }
            finally
            {
                sd_bus_message_unref(reply);
            }
        }

        fixed (byte* name = Encoding.UTF8.GetBytes(error!.ErrorName + '\0'))
        fixed (byte* text = Encoding.UTF8.GetBytes(error.Message + '\0'))
        {
            Error native = new() { Name = name, Message = text };
            Check(sd_bus_reply_method_error(call, &native), "reply with an error");
        }
    }
}
