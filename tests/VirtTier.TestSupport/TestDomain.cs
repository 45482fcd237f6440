// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Settings;

namespace VirtTier.TestSupport;

/// <summary>A domain small enough to start in a moment: emulated, no disk, no operating system;
/// its firmware waits for a disk.</summary>
internal sealed record TestDomain(string Name)
{
    internal Guid Uuid { get; init; } = Guid.NewGuid();

    internal string Type { get; init; } = "qemu";

    internal int MemoryMiB { get; init; } = 64;

    internal string Metadata { get; init; } = "";

    internal string Devices { get; init; } = "";

    internal string Extra { get; init; } = "";

    internal string ToXml() => $"""
        <domain type='{Type}'>
          <name>{Name}</name>
          <uuid>{Uuid}</uuid>
          <metadata>{Metadata}</metadata>
          <memory unit='MiB'>{MemoryMiB}</memory>
          <vcpu>1</vcpu>
          {Extra}
          <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='fd'/></os>
          <features><acpi/></features>
          <devices>
            {(Type == "qemu" ? "<emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/>" : "")}
            {Devices}
          </devices>
        </domain>
        """;

    /// <summary>The same domain with a floppy that it boots from.</summary>
    internal TestDomain BootingFrom(string image) => this with
    {
        Devices = $"""
            <disk type='file' device='floppy'>
              <driver name='qemu' type='raw'/><source file='{image}'/><target dev='fda' bus='fdc'/><readonly/>
            </disk>
            """,
    };

    /// <summary>The metadata element as it stands in a domain's XML.</summary>
    internal static string MetadataOf(string attributes) =>
        $"<vt:{TieringSettings.ElementName} xmlns:vt='{TieringSettings.MetadataNamespace}' {attributes}/>";
}
