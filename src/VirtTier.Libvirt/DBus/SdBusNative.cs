// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace VirtTier.Libvirt.DBus;

/// <summary>libsystemd's sd-bus, non-variadic functions only. See sd-bus(3).</summary>
internal static unsafe partial class SdBusNative
{
    private const string Library = "libsystemd.so.0";

    /// <summary>SD_BUS_NAME_QUEUE of sd_bus_request_name(3): wait in line while another has the name.</summary>
    internal const ulong NameQueue = 1ul << 2;

    [StructLayout(LayoutKind.Sequential)]
    internal struct Error
    {
        internal byte* Name;
        internal byte* Message;
        private readonly int _needFree;
    }

    [LibraryImport(Library)]
    internal static partial int sd_bus_new(out nint bus);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_set_address(nint bus, string address);

    [LibraryImport(Library)]
    internal static partial int sd_bus_set_bus_client(nint bus, int enable);

    [LibraryImport(Library)]
    internal static partial int sd_bus_start(nint bus);

    [LibraryImport(Library)]
    internal static partial int sd_bus_is_ready(nint bus);

    [LibraryImport(Library)]
    internal static partial int sd_bus_is_open(nint bus);

    [LibraryImport(Library)]
    internal static partial nint sd_bus_close_unref(nint bus);

    [LibraryImport(Library)]
    internal static partial int sd_bus_process(nint bus, nint message);

    [LibraryImport(Library)]
    internal static partial int sd_bus_get_fd(nint bus);

    [LibraryImport(Library)]
    internal static partial int sd_bus_get_events(nint bus);

    [LibraryImport(Library)]
    internal static partial int sd_bus_get_timeout(nint bus, out ulong microseconds);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_request_name_async(nint bus, out nint slot, string name, ulong flags,
        delegate* unmanaged[Cdecl]<nint, nint, Error*, int> callback, nint userdata);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_add_match_async(nint bus, out nint slot, string match,
        delegate* unmanaged[Cdecl]<nint, nint, Error*, int> callback,
        delegate* unmanaged[Cdecl]<nint, nint, Error*, int> installed, nint userdata);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_add_object(nint bus, out nint slot, string path,
        delegate* unmanaged[Cdecl]<nint, nint, Error*, int> callback, nint userdata);

    [LibraryImport(Library)]
    internal static partial nint sd_bus_slot_unref(nint slot);

    [LibraryImport(Library)]
    internal static partial int sd_bus_send(nint bus, nint message, nint cookie);

    [LibraryImport(Library)]
    internal static partial int sd_bus_call_async(nint bus, out nint slot, nint message,
        delegate* unmanaged[Cdecl]<nint, nint, Error*, int> callback, nint userdata, ulong microseconds);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_message_new_method_call(
        nint bus, out nint message, string destination, string path, string @interface, string member);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_message_new_signal(
        nint bus, out nint message, string path, string @interface, string member);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_new_method_return(nint call, out nint message);

    [LibraryImport(Library)]
    internal static partial int sd_bus_reply_method_error(nint call, Error* error);

    [LibraryImport(Library)]
    internal static partial nint sd_bus_message_ref(nint message);

    [LibraryImport(Library)]
    internal static partial nint sd_bus_message_unref(nint message);

    [LibraryImport(Library)]
    internal static partial Error* sd_bus_message_get_error(nint message);

    [LibraryImport(Library)]
    internal static partial byte* sd_bus_message_get_path(nint message);

    [LibraryImport(Library)]
    internal static partial byte* sd_bus_message_get_interface(nint message);

    [LibraryImport(Library)]
    internal static partial byte* sd_bus_message_get_member(nint message);

    [LibraryImport(Library)]
    internal static partial byte* sd_bus_message_get_sender(nint message);

    [LibraryImport(Library)]
    internal static partial byte* sd_bus_message_get_signature(nint message, int complete);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_append_basic(nint message, byte type, void* value);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_append_array(nint message, byte type, void* data, nuint size);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int sd_bus_message_open_container(nint message, byte type, string contents);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_close_container(nint message);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_peek_type(nint message, out byte type, out byte* contents);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_read_basic(nint message, byte type, void* value);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_read_array(nint message, byte type, out void* data, out nuint size);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_enter_container(nint message, byte type, byte* contents);

    [LibraryImport(Library)]
    internal static partial int sd_bus_message_exit_container(nint message);

    /// <summary>A copy of a string of sd-bus, which lives only as long as its message; empty for NULL.</summary>
    internal static string Text(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";

    /// <summary>The result, or an exception when it is a negative errno.</summary>
    internal static int Check(int result, string action) => result < 0 ? throw BusException.FromErrno(result, action) : result;
}
