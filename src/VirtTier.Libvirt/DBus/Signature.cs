// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.DBus;

/// <summary>Splits D-Bus signatures into complete types, and tells valid ones.</summary>
internal static class Signature
{
    private const int Longest = 255, DeepestArrays = 32, DeepestStructs = 32;

    /// <summary>The complete type that starts at a position, e.g. <c>a{sv}</c> at 1 in <c>ua{sv}s</c>.</summary>
    internal static string TypeAt(string signature, int start) => signature[start..EndOfType(signature, start)];

    /// <summary>The position after the complete type that starts at a position.</summary>
    /// <exception cref="ArgumentException">The signature ends in the middle of the type.</exception>
    internal static int EndOfType(string signature, int start) => EndOrZero(signature, start) is var end and > 0
        ? end
        : throw new ArgumentException($"the D-Bus signature '{signature}' ends in the middle of a type");

    private static int EndOrZero(string signature, int start)
    {
        int at = start;
        while (at < signature.Length && signature[at] == 'a')
            at++;

        int depth = 0;
        for (; at < signature.Length; at++)
        {
            depth += signature[at] switch { '(' or '{' => 1, ')' or '}' => -1, _ => 0 };
            if (depth == 0)
                return at + 1;
        }

        return 0;
    }

    /// <summary>Whether the bus takes it: it ends the connection of who sends another.</summary>
    internal static bool IsValid(string signature) => signature.Length <= Longest && AreTypes(signature, 0, 0);

    private static bool AreTypes(string types, int arrays, int structs)
    {
        int at = 0;
        while (at < types.Length)
        {
            int end = EndOrZero(types, at);
            if (end == 0 || !IsType(types[at..end], arrays, structs))
                return false;
            at = end;
        }

        return true;
    }

    private static bool IsType(string type, int arrays, int structs) => type switch
    {
        ['a', '{', var key, .. var value, '}'] => arrays < DeepestArrays && structs < DeepestStructs && IsBasic(key)
            && EndOrZero(value, 0) == value.Length && IsType(value, arrays + 1, structs + 1),
        ['a', .. var item] => arrays < DeepestArrays && IsType(item, arrays + 1, structs),
        ['(', .. var fields, ')'] => structs < DeepestStructs && fields.Length > 0 && AreTypes(fields, arrays, structs + 1),
        [var single] => single == 'v' || IsBasic(single),
        _ => false,
    };

    private static bool IsBasic(char type) => "ybnqiuxtdsogh".Contains(type, StringComparison.Ordinal);
}
