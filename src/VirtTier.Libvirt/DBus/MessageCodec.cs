// SPDX-License-Identifier: Apache-2.0
using System.Text.RegularExpressions;
using Tmds.DBus.Protocol;

namespace VirtTier.Libvirt.DBus;

/// <summary>
/// Between messages of Tmds.DBus.Protocol and the plain values of <see cref="BusBody"/>. The library checks nothing before it
/// sends, and a bus ends the connection that sends it a malformed message: so all is checked here.
/// </summary>
internal static partial class MessageCodec
{
    // Containers within containers, as the D-Bus specification limits them: 32 arrays and 32 structs.
    private const int MostDepth = 64;

    // dbus-daemon's max_message_size; it drops the connection of who sends more.
    private const int MostBytes = 32 << 20;

    /// <summary>A call, ready to be sent.</summary>
    /// <exception cref="ArgumentException">The bus would not take it; the message says why.</exception>
    internal static MessageBuffer Encode(DBusConnection connection, BusCall call)
    {
        Require(BusName().IsMatch(call.Destination), call.Destination, "bus name");
        RequirePath(call.Path);
        Require(InterfaceName().IsMatch(call.Interface), call.Interface, "interface");
        Require(MemberName().IsMatch(call.Member), call.Member, "method");
        MessageWriter writer = connection.GetMessageWriter();
        try
        {
            writer.WriteMethodCallHeader(
                call.Destination, call.Path, call.Interface, call.Member, OrNull(call.Body.Signature), MessageFlags.None);
            Append(ref writer, call.Body);
            return writer.CreateMessage();
        }
        finally
        {
            writer.Dispose();
        }
    }

    /// <summary>A signal, ready to be sent.</summary>
    /// <exception cref="ArgumentException">The bus would not take it; the message says why.</exception>
    internal static MessageBuffer Encode(DBusConnection connection, BusSignal signal)
    {
        RequirePath(signal.Path);
        Require(InterfaceName().IsMatch(signal.Interface), signal.Interface, "interface");
        Require(MemberName().IsMatch(signal.Member), signal.Member, "signal");
        MessageWriter writer = connection.GetMessageWriter();
        try
        {
            writer.WriteSignalHeader(null, signal.Path, signal.Interface, signal.Member, OrNull(signal.Body.Signature));
            Append(ref writer, signal.Body);
            return writer.CreateMessage();
        }
        finally
        {
            writer.Dispose();
        }
    }

    /// <summary>Appends a body to a message under construction.</summary>
    /// <exception cref="ArgumentException">The values do not fit the signature, or the bus would not take them.</exception>
    internal static void Append(ref MessageWriter writer, BusBody body)
    {
        int bytes = 0;
        AppendAll(ref writer, body.Signature, body.Values, ref bytes, 0);
    }

    /// <summary>Reads the whole body, copying everything out of the message.</summary>
    /// <exception cref="BusException">It has a type that is not known here, or is nested without end.</exception>
    internal static BusBody Decode(Message message)
    {
        string signature = message.SignatureAsString ?? "";
        if (signature.Length == 0)
            return BusBody.Empty;
        Reader reader = message.GetBodyReader();
        return new(signature, ReadAll(ref reader, signature, 0));
    }

    /// <summary>Reads a signal, or a call as if it were one.</summary>
    internal static BusSignal DecodeSignal(Message message) => new(
        message.SenderAsString ?? "", message.PathAsString ?? "", message.InterfaceAsString ?? "",
        message.MemberAsString ?? "", Decode(message));

    /// <exception cref="ArgumentException">The text is no object path.</exception>
    internal static void RequirePath(string path) => Require(ObjectPath().IsMatch(path), path, "object path");

    private static bool IsSendable(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\0' || (char.IsSurrogate(text[i]) && !char.IsSurrogatePair(text, i++)))
                return false;
        }

        return true;
    }

    private static void Require(bool valid, string text, string what)
    {
        if (!valid)
            throw new ArgumentException($"'{(text.Length > 80 ? text[..80] + "..." : text)}' is not a D-Bus {what}");
    }

    private static string? OrNull(string signature) => signature.Length == 0 ? null : signature;

    private static void AppendAll(
        ref MessageWriter writer, string signature, IReadOnlyList<object> values, ref int bytes, int depth)
    {
        int value = 0;
        for (int at = 0; at < signature.Length; at = Signature.EndOfType(signature, at))
        {
            if (value == values.Count)
                throw new ArgumentException($"the signature '{signature}' has more types than the {value} values given");
            AppendValue(ref writer, Signature.TypeAt(signature, at), values[value++], ref bytes, depth);
        }

        if (value < values.Count)
            throw new ArgumentException($"{values.Count} values given for the signature '{signature}'");
    }

    private static void AppendValue(ref MessageWriter writer, string type, object value, ref int bytes, int depth)
    {
        if (depth > MostDepth)
            throw new ArgumentException($"a body may be nested {MostDepth} deep");
        switch (type, value)
        {
            case ("s", string text):
                Require(IsSendable(text), text, "string: it has a NUL or half a character");
                Count(text.Length, ref bytes);
                writer.WriteString(text);
                break;
            case ("o", string path):
                RequirePath(path);
                Count(path.Length, ref bytes);
                writer.WriteObjectPath(path);
                break;
            case ("g", string signature):
                Require(signature.Length < 256 && signature.All(c => "ybnqiuxtdsogvha(){}".Contains(c, StringComparison.Ordinal)),
                    signature, "signature");
                writer.WriteSignature(signature);
                break;
            case ("v", Variant variant):
                if (Signature.EndOfType(variant.Signature, 0) != variant.Signature.Length)
                    throw new ArgumentException($"a variant holds one value, not '{variant.Signature}'");
                writer.WriteSignature(variant.Signature);
                AppendValue(ref writer, variant.Signature, variant.Value, ref bytes, depth + 1);
                break;
            case (['(' or '{', .. var inner, ')' or '}'], IReadOnlyList<object> fields):
                writer.WriteStructureStart();
                AppendAll(ref writer, inner, fields, ref bytes, depth + 1);
                break;
            case ("ay", byte[] content):
                Count(content.Length, ref bytes);
                writer.WriteArray(content);
                break;
            case (['a', .. var item], IReadOnlyDictionary<string, object> entries):
                AppendArray(ref writer, item, entries.Select(object (entry) => new[] { entry.Key, entry.Value }),
                    ref bytes, depth + 1);
                break;
            case (['a', .. var item], IEnumerable<object> items):
                AppendArray(ref writer, item, items, ref bytes, depth + 1);
                break;
            default:
                AppendScalar(ref writer, type, value);
                break;
        }
    }

    private static void AppendArray(
        ref MessageWriter writer, string itemType, IEnumerable<object> items, ref int bytes, int depth)
    {
        ArrayStart start = writer.WriteArrayStart(AlignmentOf(itemType));
        foreach (object item in items)
        {
            Count(1, ref bytes);
            AppendValue(ref writer, itemType, item, ref bytes, depth);
        }

        writer.WriteArrayEnd(start);
    }

    private static void AppendScalar(ref MessageWriter writer, string type, object value)
    {
        switch (type, value)
        {
            case ("y", byte number):
                writer.WriteByte(number);
                break;
            case ("b", bool truth):
                writer.WriteBool(truth);
                break;
            case ("n", short number):
                writer.WriteInt16(number);
                break;
            case ("q", ushort number):
                writer.WriteUInt16(number);
                break;
            case ("i", int number):
                writer.WriteInt32(number);
                break;
            case ("u", uint number):
                writer.WriteUInt32(number);
                break;
            case ("x", long number):
                writer.WriteInt64(number);
                break;
            case ("t", ulong number):
                writer.WriteUInt64(number);
                break;
            case ("d", double number):
                writer.WriteDouble(number);
                break;
            default:
                throw new ArgumentException($"a {value.GetType().Name} cannot be sent as D-Bus type '{type}'");
        }
    }

    private static void Count(int more, ref int bytes)
    {
        // Headers and padding are little beside it.
        if ((bytes += more) > MostBytes || bytes < 0)
            throw new ArgumentException($"a message may be {MostBytes >> 20} MiB large");
    }

    private static object[] ReadAll(ref Reader reader, string signature, int depth)
    {
        List<object> values = [];
        for (int at = 0; at < signature.Length; at = Signature.EndOfType(signature, at))
            values.Add(ReadValue(ref reader, Signature.TypeAt(signature, at), depth));
        return [.. values];
    }

    private static object ReadValue(ref Reader reader, string type, int depth)
    {
        if (depth > MostDepth)
            throw new BusException(BusException.InvalidSignature, $"a body is nested more than {MostDepth} deep");
        switch (type)
        {
            case "s":
                return reader.ReadString();
            case "o":
                return reader.ReadObjectPathAsString();
            case "g":
                return reader.ReadSignatureAsString();
            case "v":
                return ReadValue(ref reader, reader.ReadSignatureAsString(), depth + 1);
            case "y":
                return reader.ReadByte();
            case "b":
                return reader.ReadBool();
            case "n":
                return reader.ReadInt16();
            case "q":
                return reader.ReadUInt16();
            case "i":
                return reader.ReadInt32();
            case "u":
                return reader.ReadUInt32();
            case "x":
                return reader.ReadInt64();
            case "t":
                return reader.ReadUInt64();
            case "d":
                return reader.ReadDouble();
            case "ay":
                return reader.ReadArrayOfByte();
            case "as":
                return reader.ReadArrayOfString();
            case ['a', '{', .. var entry, '}']:
                return ReadDictionary(ref reader, entry, depth + 1);
            case ['a', .. var item]:
                return ReadArray(ref reader, item, depth + 1);
            case ['(', .. var fields, ')']:
                reader.AlignStruct();
                return ReadAll(ref reader, fields, depth + 1);
            default:
                throw new BusException(BusException.InvalidSignature, $"the D-Bus type '{type}' is not known here");
        }
    }

    private static object ReadArray(ref Reader reader, string itemType, int depth)
    {
        List<object> items = [];
        ArrayEnd end = reader.ReadArrayStart(AlignmentOf(itemType));
        while (reader.HasNext(end))
            items.Add(ReadValue(ref reader, itemType, depth));
        return itemType == "o" ? items.ConvertAll(path => (string)path).ToArray() : items.ToArray();
    }

    private static Dictionary<string, object> ReadDictionary(ref Reader reader, string entryTypes, int depth)
    {
        Dictionary<string, object> entries = [];
        ArrayEnd end = reader.ReadDictionaryStart();
        while (reader.HasNext(end))
        {
            reader.AlignStruct();
            object[] pair = ReadAll(ref reader, entryTypes, depth);
            entries[pair[0].ToString()!] = pair[1];
        }

        return entries;
    }

    // The library's types are the characters of signatures; an entry of a dictionary is aligned like a struct.
    private static DBusType AlignmentOf(string type) => type[0] is '(' or '{' ? DBusType.Struct : (DBusType)type[0];

    [GeneratedRegex(
        @"\A(?=.{1,255}\z)(:[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+|[A-Za-z_-][A-Za-z0-9_-]*(\.[A-Za-z_-][A-Za-z0-9_-]*)+)\z")]
    private static partial Regex BusName();

    [GeneratedRegex(@"\A/([A-Za-z0-9_]+(/[A-Za-z0-9_]+)*)?\z")]
    private static partial Regex ObjectPath();

    [GeneratedRegex(@"\A(?=.{1,255}\z)[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+\z")]
    private static partial Regex InterfaceName();

    [GeneratedRegex(@"\A[A-Za-z_][A-Za-z0-9_]{0,254}\z")]
    private static partial Regex MemberName();
}
