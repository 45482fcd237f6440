// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Xml.Linq;

namespace VirtTier.Testbed;

/// <summary>The libvirt domains of the guests: KVM, one vCPU (or one a cell), no devices but a command port and a log.</summary>
internal static class GuestDomain
{
    /// <summary>The folder of the emulated host for the guests' ROMs, kernels, logs and command pipes;
    /// QEMU's user owns it.</summary>
    public const string Folder = "/var/lib/libvirt/testbed";

    private static readonly XNamespace s_tiering = "urn:virttier:tiering:1";

    public static string Payload(PayloadGuest guest, string? tiering) =>
        Domain(guest.Name, guest.MemoryMebibytes, guest.Memory, tiering,
            [Loader(guest.RomPath)],
            [CommandPort(guest.Name), DebugConsole(guest.LogPath)],
            guest.Cpus, guest.Nodes, guest.Cells);

    public static string Linux(LinuxGuest guest, string? tiering) =>
        Domain(guest.Name, guest.MemoryMebibytes, guest.Memory, tiering,
            [
                new XElement("kernel", LinuxGuest.KernelPath),
                new XElement("initrd", LinuxGuest.InitrdPath),
                new XElement("cmdline", guest.KernelParameters),
            ],
            [LogPort(guest.LogPath)],
            "1", null, []);

    private static string Domain(
        string name, int mebibytes, GuestMemory memory, string? tiering, XElement[] boot, XElement[] ports, string cpus,
        string? nodes, IReadOnlyList<PayloadCell> cells) =>
        new XElement("domain", new XAttribute("type", "kvm"),
            new XElement("name", name),
            tiering is null ? null : new XElement("metadata", TieringElement(tiering)),
            new XElement("memory", new XAttribute("unit", "MiB"), mebibytes.ToString(CultureInfo.InvariantCulture)),
            memory == GuestMemory.Anonymous ? null : SharedMemfd(),
            new XElement("vcpu", new XAttribute("cpuset", cpus), Math.Max(1, cells.Count)),
            cells.Count == 0 ? null : new XElement("cputune", cells.Select((cell, vcpu) => new XElement("vcpupin",
                new XAttribute("vcpu", vcpu), new XAttribute("cpuset", cell.Cpus)))),
            nodes is null ? null : new XElement("numatune",
                new XElement("memory", new XAttribute("mode", "strict"), new XAttribute("nodeset", nodes))),
            new XElement("os",
                new XElement("type", new XAttribute("arch", "x86_64"), new XAttribute("machine", "pc"), "hvm"),
                boot),
            new XElement("features", new XElement("acpi"), new XElement("apic")),
            new XElement("cpu", new XAttribute("mode", "host-passthrough"), new XAttribute("check", "none"),
                cells.Count == 0 ? null : new XElement("numa", cells.Select((cell, vcpu) => new XElement("cell",
                    new XAttribute("id", vcpu), new XAttribute("cpus", vcpu), new XAttribute("memory", cell.MemoryMebibytes),
                    new XAttribute("unit", "MiB"))))),
            new XElement("devices",
                new XElement("emulator",
                    memory == GuestMemory.AlignedMemfd ? "/usr/local/bin/qemu-aligned" : "/usr/bin/qemu-system-x86_64"),
                new XElement("controller", new XAttribute("type", "usb"), new XAttribute("model", "none")),
                new XElement("memballoon", new XAttribute("model", "none")),
                ports)).ToString();

    private static XElement TieringElement(string attributes)
    {
        XElement parsed = XElement.Parse($"<tiering {attributes}/>");
        return new XElement(s_tiering + "tiering", new XAttribute(XNamespace.Xmlns + "virttier", s_tiering), parsed.Attributes());
    }

    private static XElement SharedMemfd() =>
        new("memoryBacking",
            new XElement("source", new XAttribute("type", "memfd")),
            new XElement("access", new XAttribute("mode", "shared")));

    private static XElement Loader(string rom) =>
        new("loader", new XAttribute("readonly", "yes"), new XAttribute("type", "rom"), rom);

    // A pipe, not a pty: QEMU looks at a pty only while somebody holds it open, and a byte written in passing is lost.
    private static XElement CommandPort(string name) =>
        new("serial", new XAttribute("type", "pipe"),
            new XElement("source", new XAttribute("path", $"{Folder}/{name}.com1")),
            new XElement("target", new XAttribute("port", 0)));

    private static XElement LogPort(string path) =>
        new("serial", new XAttribute("type", "file"),
            new XElement("source", new XAttribute("path", path), new XAttribute("append", "off")),
            new XElement("target", new XAttribute("port", 0)));

    private static XElement DebugConsole(string path) =>
        new("serial", new XAttribute("type", "file"),
            new XElement("source", new XAttribute("path", path), new XAttribute("append", "off")),
            new XElement("target", new XAttribute("type", "isa-debug"), new XAttribute("port", 1),
                new XElement("model", new XAttribute("name", "isa-debugcon"))),
            new XElement("address", new XAttribute("type", "isa"), new XAttribute("iobase", "0xe9")));
}
