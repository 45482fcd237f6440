// SPDX-License-Identifier: Apache-2.0
using System.Text;
using static VirtTier.Libvirt.DBus.SdBusNative;

namespace VirtTier.Libvirt.DBus;

/// <summary>Between message bodies of sd-bus and the plain values of <see cref="BusBody"/>.</summary>
internal static unsafe class MessageCodec
{
    /// <summary>Reads the whole body, copying everything out of the message.</summary>
    internal static BusBody Decode(nint message)
    {
        string signature = Text(sd_bus_message_get_signature(message, 1));
        return signature.Length == 0 ? BusBody.Empty : new(signature, ReadToEnd(message));
    }

    /// <summary>Appends a body to a message under construction.</summary>
    internal static void Encode(nint message, BusBody body)
    {
        int value = 0;
        for (int at = 0; at < body.Signature.Length; at = Signature.EndOfType(body.Signature, at))
        {
            if (value == body.Values.Count)
                throw new ArgumentException($"the signature '{body.Signature}' has more types than the {value} values given");
            Append(message, Signature.TypeAt(body.Signature, at), body.Values[value++]);
        }

        if (value < body.Values.Count)
            throw new ArgumentException($"{body.Values.Count} values given for the signature '{body.Signature}'");
    }

    private static object[] ReadToEnd(nint message)
    {
        List<object> values = [];
        while (Check(sd_bus_message_peek_type(message, out byte type, out byte* contents), "read") > 0)
            values.Add(ReadValue(message, (char)type, contents));
        return [.. values];
    }

    private static object ReadValue(nint message, char type, byte* contents)
    {
        switch (type)
        {
            case 's' or 'o' or 'g':
                byte* text;
                Check(sd_bus_message_read_basic(message, (byte)type, &text), "read");
                return Text(text);
            case 'a':
                return ReadArray(message, contents);
            case 'r':
                return InContainer(message, 'r', contents);
            case 'v':
                return InContainer(message, 'v', contents)[0];
        }

        ulong scalar = 0; // sd-bus writes the type's own width to its start: little-endian, as KVM's x86 is
        Check(sd_bus_message_read_basic(message, (byte)type, &scalar), "read");
        return type switch
        {
            'y' => (byte)scalar,
            'b' => (int)scalar != 0, // sd-bus gives a boolean as an int
            'n' => (short)scalar,
            'q' => (ushort)scalar,
            'i' or 'h' => (int)scalar,
            'u' => (uint)scalar,
            'x' => (long)scalar,
            't' => scalar,
            'd' => BitConverter.UInt64BitsToDouble(scalar),
            _ => throw new BusException(BusException.InvalidSignature, $"unknown type '{type}'"),
        };
    }

    private static object ReadArray(nint message, byte* contents)
    {
        switch ((char)*contents)
        {
            case 'y':
                Check(sd_bus_message_read_array(message, (byte)'y', out void* data, out nuint size), "read");
                return new ReadOnlySpan<byte>(data, (int)size).ToArray();
            case 's' or 'o':
                return Array.ConvertAll(InContainer(message, 'a', contents), text => (string)text);
            case '{':
                return ReadDictionary(message, contents);
            default:
                return InContainer(message, 'a', contents);
        }
    }

    private static Dictionary<string, object> ReadDictionary(nint message, byte* contents)
    {
        Dictionary<string, object> entries = [];
        Check(sd_bus_message_enter_container(message, (byte)'a', contents), "read");
        while (Check(sd_bus_message_peek_type(message, out byte type, out byte* entry), "read") > 0)
        {
            object[] pair = InContainer(message, (char)type, entry);
            entries[pair[0].ToString()!] = pair[1];
        }

        Check(sd_bus_message_exit_container(message), "read");
        return entries;
    }

    private static object[] InContainer(nint message, char type, byte* contents)
    {
        Check(sd_bus_message_enter_container(message, (byte)type, contents), "read");
        object[] values = ReadToEnd(message);
        Check(sd_bus_message_exit_container(message), "read");
        return values;
    }

    private static void Append(nint message, string type, object value)
    {
        switch (type[0], value)
        {
            case ('s' or 'o' or 'g', string text):
                fixed (byte* bytes = Encoding.UTF8.GetBytes(text + '\0'))
                    Check(sd_bus_message_append_basic(message, (byte)type[0], bytes), "append");
                break;
            case ('v', Variant variant):
                Check(sd_bus_message_open_container(message, (byte)'v', variant.Signature), "append");
                Append(message, variant.Signature, variant.Value);
                Check(sd_bus_message_close_container(message), "append");
                break;
            case ('(' or '{', IReadOnlyList<object> fields):
                string inner = type[1..^1];
                Check(sd_bus_message_open_container(message, type[0] == '(' ? (byte)'r' : (byte)'e', inner), "append");
                Encode(message, new BusBody(inner, fields));
                Check(sd_bus_message_close_container(message), "append");
                break;
            case ('a', byte[] bytes) when type == "ay":
                fixed (byte* data = bytes)
                    Check(sd_bus_message_append_array(message, (byte)'y', data, (nuint)bytes.Length), "append");
                break;
            case ('a', IReadOnlyDictionary<string, object> entries):
                AppendArray(message, type[1..], entries.Select(object (entry) => new[] { entry.Key, entry.Value }));
                break;
            case ('a', IEnumerable<object> items):
                AppendArray(message, type[1..], items);
                break;
            default:
                AppendScalar(message, type, value);
                break;
        }
    }

    private static void AppendArray(nint message, string itemType, IEnumerable<object> items)
    {
        Check(sd_bus_message_open_container(message, (byte)'a', itemType), "append");
        foreach (object item in items)
            Append(message, itemType, item);
        Check(sd_bus_message_close_container(message), "append");
    }

    private static void AppendScalar(nint message, string type, object value)
    {
        ulong scalar = (type, value) switch
        {
            ("y", byte number) => number,
            ("b", bool truth) => truth ? 1ul : 0,
            ("n", short number) => (ulong)number,
            ("q", ushort number) => number,
            ("i", int number) => (ulong)number,
            ("u", uint number) => number,
            ("x", long number) => (ulong)number,
            ("t", ulong number) => number,
            ("d", double number) => BitConverter.DoubleToUInt64Bits(number),
            _ => throw new ArgumentException($"a {value.GetType().Name} cannot be sent as D-Bus type '{type}'"),
        };
        Check(sd_bus_message_append_basic(message, (byte)type[0], &scalar), "append");
    }
}
