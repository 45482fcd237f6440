// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Libvirt.Domains;

/// <summary>How libvirt's domains are learned of.</summary>
public enum LibvirtSource
{
    /// <summary>Over D-Bus where libvirt-dbus is, by libvirt's files where it is not; looked at anew in each pass.</summary>
    Auto,

    /// <summary>libvirt-dbus.</summary>
    DBus,

    /// <summary>The files in which libvirt's QEMU driver keeps what it runs.</summary>
    Files,

    /// <summary>Not at all: there is no libvirt on the host.</summary>
    Off,
}

/// <summary>Names of the sources.</summary>
public static class LibvirtSourceNames
{
    /// <summary>The source as the configuration has it: <c>auto</c>, <c>dbus</c>, <c>files</c> or <c>off</c>.</summary>
    /// <param name="source">The source.</param>
    public static string ToKey(this LibvirtSource source) => source switch
    {
        LibvirtSource.DBus => "dbus",
        LibvirtSource.Files => "files",
        LibvirtSource.Off => "off",
        _ => "auto",
    };
}
