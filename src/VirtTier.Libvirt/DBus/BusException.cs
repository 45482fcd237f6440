// SPDX-License-Identifier: Apache-2.0
using VirtTier.Primitives;

namespace VirtTier.Libvirt.DBus;

/// <summary>A D-Bus error: one that a service answered with, or one of the bus itself.</summary>
/// <param name="errorName">The D-Bus error name, e.g. <c>org.libvirt.Error</c>.</param>
/// <param name="message">What went wrong, for people. It may be anybody's: it is made to fit into a message.</param>
public sealed class BusException(string errorName, string message) : Exception(Shorten.Sentence(message))
{
    /// <summary>The service did not answer in time, or went away before it did.</summary>
    public const string NoReply = "org.freedesktop.DBus.Error.NoReply";

    /// <summary>The same, as newer buses call it when the time was too short.</summary>
    public const string Timeout = "org.freedesktop.DBus.Error.Timeout";

    /// <summary>The bus is not reachable.</summary>
    public const string Disconnected = "org.freedesktop.DBus.Error.Disconnected";

    /// <summary>Nobody owns the name that was called, and nothing could be started for it.</summary>
    public const string ServiceUnknown = "org.freedesktop.DBus.Error.ServiceUnknown";

    /// <summary>A message's arguments are not of the types expected.</summary>
    public const string InvalidSignature = "org.freedesktop.DBus.Error.InvalidSignature";

    /// <summary>The caller may not do this.</summary>
    public const string AccessDenied = "org.freedesktop.DBus.Error.AccessDenied";

    /// <summary>The interface has no property of that name.</summary>
    public const string UnknownProperty = "org.freedesktop.DBus.Error.UnknownProperty";

    /// <summary>Any other failure.</summary>
    public const string Failed = "org.freedesktop.DBus.Error.Failed";

    private const string UnknownMethod = "org.freedesktop.DBus.Error.UnknownMethod";

    /// <summary>The D-Bus error name.</summary>
    public string ErrorName { get; } = errorName;

    /// <summary>The answer to a call of a method that the object does not have.</summary>
    /// <param name="call">The call.</param>
    public static BusException ForUnknownMethod(BusMethodCall call)
    {
        ArgumentNullException.ThrowIfNull(call);
        return new(UnknownMethod, $"there is no method {call.Member} in the interface '{call.Interface}'");
    }
}
