// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.DBus;

/// <summary>
/// The body of a message as plain values: <c>y</c> byte, <c>b</c> bool, <c>n q i u x t</c> the integers, <c>d</c> double,
/// <c>s o g</c> string, <c>ay</c> byte[], <c>as ao</c> string[], other arrays and structs object[], <c>a{s?}</c>
/// Dictionary&lt;string, object&gt;. A variant is read as the value in it and written as a <see cref="Variant"/>.
/// </summary>
/// <param name="Signature">The D-Bus signature of the values, e.g. <c>su</c>.</param>
/// <param name="Values">One value for each complete type in the signature.</param>
public sealed record BusBody(string Signature, params IReadOnlyList<object> Values)
{
    /// <summary>No arguments.</summary>
    public static BusBody Empty { get; } = new("");

    /// <summary>The value at a position.</summary>
    /// <typeparam name="T">The type expected there.</typeparam>
    /// <param name="index">The position, from 0.</param>
    /// <exception cref="BusException">The body is too short, or the value is of another type.</exception>
    public T Get<T>(int index) => index < Values.Count && Values[index] is T value
        ? value
        : throw new BusException(
            BusException.InvalidSignature, $"argument {index} of '{Signature}' is not the {typeof(T).Name} expected there");
}

/// <summary>A value to be written as a D-Bus variant.</summary>
/// <param name="Signature">The type of the value.</param>
/// <param name="Value">The value.</param>
public sealed record Variant(string Signature, object Value);

/// <summary>A method call to send.</summary>
/// <param name="Destination">The bus name of the service.</param>
/// <param name="Path">The object.</param>
/// <param name="Interface">The interface.</param>
/// <param name="Member">The method.</param>
/// <param name="Body">The arguments.</param>
/// <param name="Timeout">How long to wait for the reply.</param>
public sealed record BusCall(
    string Destination, string Path, string Interface, string Member, BusBody Body, TimeSpan Timeout);

/// <summary>A signal received, or one to emit.</summary>
/// <param name="Sender">The unique name of the sender; empty in a signal to emit.</param>
/// <param name="Path">The object that it is about.</param>
/// <param name="Interface">The interface.</param>
/// <param name="Member">The signal's name.</param>
/// <param name="Body">The arguments.</param>
public sealed record BusSignal(string Sender, string Path, string Interface, string Member, BusBody Body);

/// <summary>A method call received by an exported object.</summary>
/// <param name="Sender">The unique name of the caller.</param>
/// <param name="SenderUid">The user that the caller's connection belongs to, as the bus knows it.</param>
/// <param name="Interface">The interface; empty if the caller named none.</param>
/// <param name="Member">The method.</param>
/// <param name="Body">The arguments.</param>
public sealed record BusMethodCall(string Sender, uint SenderUid, string Interface, string Member, BusBody Body);

/// <summary>Whether the bus can be reached.</summary>
/// <param name="Connected">True while it can.</param>
/// <param name="Reason">Why it cannot; null while it can.</param>
public sealed record BusState(bool Connected, string? Reason);
