// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.DBus;

/// <summary>Splits D-Bus signatures into complete types.</summary>
internal static class Signature
{
    /// <summary>The complete type that starts at a position, e.g. <c>a{sv}</c> at 1 in <c>ua{sv}s</c>.</summary>
    internal static string TypeAt(string signature, int start) => signature[start..EndOfType(signature, start)];

    /// <summary>The position after the complete type that starts at a position.</summary>
    /// <exception cref="ArgumentException">The signature ends in the middle of the type.</exception>
    internal static int EndOfType(string signature, int start)
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

        throw new ArgumentException($"the D-Bus signature '{signature}' ends in the middle of a type");
    }
}
