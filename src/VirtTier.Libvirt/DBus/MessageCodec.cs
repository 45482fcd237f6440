// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.RegularExpressions;
using Tmds.DBus.Protocol;
using VirtTier.Primitives;

namespace VirtTier.Libvirt.DBus;

/// <summary>
/// Between messages of Tmds.DBus.Protocol and the plain values of <see cref="BusBody"/>. The library checks nothing before it
/// sends, and a bus ends the connection that sends it a malformed message: so all is checked here.
/// </summary>
internal static partial class MessageCodec
{
    // Containers within containers, as the D-Bus specification limits them: 32 arrays and 32 structs.
    private const int MostDepth = 64;

    // dbus-daemon drops the connection of who sends more than 32 MiB, header and all; this leaves room for the header.
    private const int MostBytes = 31 << 20;

    // What a value takes besides its text: its own bytes or its length, and padding.
    private const int MostBytesOfAValue = 16;

    // Values are boxed: a message of 32 MiB could take a gigabyte of memory.
    private const int MostValues = 1 << 20;

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
        RequireSignature(body.Signature);
        int bytes = 0;
        AppendAll(ref writer, body.Signature, body.Values, ref bytes, 0);
    }

    /// <summary>Reads the whole body, copying everything out of the message.</summary>
    /// <exception cref="BusException">It has an unknown type, is nested without end, or has too many values.</exception>
    internal static BusBody Decode(Message message)
    {
        string signature = message.SignatureAsString ?? "";
        if (signature.Length == 0)
            return BusBody.Empty;
        Reader reader = message.GetBodyReader();
        int left = MostValues;
        return new(signature, ReadAll(ref reader, signature, 0, ref left));
    }

    /// <summary>Reads a signal, or a call as if it were one.</summary>
    internal static BusSignal DecodeSignal(Message message) => new(
        message.SenderAsString ?? "", message.PathAsString ?? "", message.InterfaceAsString ?? "",
        message.MemberAsString ?? "", Decode(message));

    /// <exception cref="ArgumentException">The text is no object path.</exception>
    internal static void RequirePath(string path) => Require(ObjectPath().IsMatch(path), path, "object path");

    /// <summary>Whether an error may have the name.</summary>
    internal static bool IsErrorName(string name) => InterfaceName().IsMatch(name);

    private static void RequireSignature(string signature) => Require(Signature.IsValid(signature), signature, "signature");

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
            throw new ArgumentException($"'{Shorten.ForMessage(text)}' is not a D-Bus {what}");
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
        Count(MostBytesOfAValue, ref bytes);
        switch (type, value)
        {
            case ("s", string text):
                Require(IsSendable(text), text, "string: it has a NUL or half a character");
                Count(Encoding.UTF8.GetByteCount(text), ref bytes);
                writer.WriteString(text);
                break;
            case ("o", string path):
                RequirePath(path);
                Count(path.Length, ref bytes);
                writer.WriteObjectPath(path);
                break;
            case ("g", string signature):
                RequireSignature(signature);
                Count(signature.Length, ref bytes);
                writer.WriteSignature(signature);
                break;
            case ("v", Variant variant):
                RequireSignature(variant.Signature);
                if (variant.Signature.Length == 0 || Signature.EndOfType(variant.Signature, 0) != variant.Signature.Length)
                    throw new ArgumentException($"a variant holds one value, not '{variant.Signature}'");
                Count(variant.Signature.Length, ref bytes);
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
            AppendValue(ref writer, itemType, item, ref bytes, depth);
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
        if ((bytes += more) > MostBytes || bytes < 0)
            throw new ArgumentException($"a message may be {MostBytes >> 20} MiB large");
    }

    private static object[] ReadAll(ref Reader reader, string signature, int depth, ref int left)
    {
        List<object> values = [];
        for (int at = 0; at < signature.Length; at = Signature.EndOfType(signature, at))
            values.Add(ReadValue(ref reader, Signature.TypeAt(signature, at), depth, ref left));
        return [.. values];
    }

    private static object ReadValue(ref Reader reader, string type, int depth, ref int left)
    {
        if (depth > MostDepth)
            throw new BusException(BusException.InvalidSignature, $"a body is nested more than {MostDepth} deep");
        if (--left < 0)
            throw new BusException(BusException.InvalidSignature, $"a body has more than {MostValues} values");
        switch (type)
        {
            case "s":
                return reader.ReadString();
            case "o":
                return reader.ReadObjectPathAsString();
            case "g":
                return reader.ReadSignatureAsString();
            case "v":
                return ReadValue(ref reader, reader.ReadSignatureAsString(), depth + 1, ref left);
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
            case ['a', '{', .. var entry, '}']:
                return ReadDictionary(ref reader, entry, depth + 1, ref left);
            case ['a', .. var item]:
                return ReadArray(ref reader, item, depth + 1, ref left);
            case ['(', .. var fields, ')']:
                reader.AlignStruct();
                return ReadAll(ref reader, fields, depth + 1, ref left);
            default:
                throw new BusException(BusException.InvalidSignature, $"the D-Bus type '{type}' is not known here");
        }
    }

    private static object ReadArray(ref Reader reader, string itemType, int depth, ref int left)
    {
        List<object> items = [];
        ArrayEnd end = reader.ReadArrayStart(AlignmentOf(itemType));
        while (reader.HasNext(end))
            items.Add(ReadValue(ref reader, itemType, depth, ref left));
        return itemType is "s" or "o" ? items.ConvertAll(text => (string)text).ToArray() : items.ToArray();
    }

    private static Dictionary<string, object> ReadDictionary(ref Reader reader, string entryTypes, int depth, ref int left)
    {
        Dictionary<string, object> entries = [];
        ArrayEnd end = reader.ReadDictionaryStart();
        while (reader.HasNext(end))
        {
            reader.AlignStruct();
            object[] pair = ReadAll(ref reader, entryTypes, depth, ref left);
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
