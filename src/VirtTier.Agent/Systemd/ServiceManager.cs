// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace VirtTier.Agent.Systemd;

/// <summary>Tells systemd how the service is; does nothing when not started by systemd. See sd_notify(3).</summary>
internal static partial class ServiceManager
{
    /// <summary>Start-up is complete; <paramref name="status"/> is the line that <c>systemctl status</c> shows.</summary>
    public static void Ready(string status) => _ = sd_notify(0, $"READY=1\nSTATUS={status}");

    /// <summary>The service has begun to stop.</summary>
    public static void Stopping() => _ = sd_notify(0, "STOPPING=1");

    /// <summary>Proof of life for <c>WatchdogSec=</c>, and the line that <c>systemctl status</c> shows.</summary>
    public static void Alive(string status) => _ = sd_notify(0, $"WATCHDOG=1\nSTATUS={status}");

    [LibraryImport("libsystemd.so.0", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int sd_notify(int unsetEnvironment, string state);
}
