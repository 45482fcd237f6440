// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Domains;

/// <summary>Where and how often a <see cref="DomainMonitor"/> looks.</summary>
public sealed record DomainMonitorOptions
{
    /// <summary>How libvirt's domains are learned of.</summary>
    public LibvirtSource Source { get; init; } = LibvirtSource.DBus;

    /// <summary>The object of libvirt-dbus for the driver whose domains are meant.</summary>
    public string DriverPath { get; init; } = "/org/libvirt/QEMU";

    /// <summary>The directory where libvirt's QEMU driver keeps its pid files and the domains that run.</summary>
    public string RunDirectory { get; init; } = "/run/libvirt/qemu";

    /// <summary>
    /// How often to look without any hint. libvirt-dbus loses every event after a restart of libvirtd until somebody calls
    /// it, so this is the longest that such a loss can last.
    /// </summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>The least time between two looks, however many hints come: bounds the calls that a storm causes.</summary>
    public TimeSpan ShortestInterval { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Called at each step, and now and then while there is nothing to do: who hears nothing for
    /// minutes knows that it hangs.</summary>
    public Action Progress { get; init; } = () => { };

    /// <summary>How long one call may take before the look goes on without its answer.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a look at a source beside libvirt may take until that is said.</summary>
    public TimeSpan LookPatience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>After how long a domain's definition is read again although nothing hinted at a change.</summary>
    public TimeSpan XmlAgeLimit { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// The last good settings of domains from an earlier life of this program: what holds for a domain whose metadata is broken
    /// when it is first seen. A domain that is not in it, with its UUID, has the defaults.
    /// </summary>
    public IReadOnlyDictionary<(DomainKey Key, Guid Uuid), TieringSettings> LastGoodSettings { get; init; } =
        new Dictionary<(DomainKey, Guid), TieringSettings>();
}
