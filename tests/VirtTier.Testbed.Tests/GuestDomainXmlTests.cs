// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;

namespace VirtTier.Testbed.Tests;

public sealed class GuestDomainXmlTests
{
    private static readonly XNamespace s_tiering = "urn:virttier:tiering:1";

    private static XElement Payload(GuestMemory memory = GuestMemory.Anonymous, string? tiering = null) =>
        XElement.Parse(new PayloadGuest { Name = "web1", MemoryMebibytes = 64, HotPages = 100, Memory = memory }.DomainXml(
            tiering));

    [Fact]
    public void A_payload_is_a_kvm_domain_with_its_rom_as_loader()
    {
        XElement domain = Payload();

        Assert.Equal("kvm", (string?)domain.Attribute("type"));
        Assert.Equal("web1", (string?)domain.Element("name"));
        Assert.Equal("64", (string?)domain.Element("memory"));
        Assert.Equal("MiB", (string?)domain.Element("memory")!.Attribute("unit"));
        Assert.Equal("/var/lib/libvirt/testbed/web1.rom", (string?)domain.Element("os")!.Element("loader"));
        Assert.Null(domain.Element("metadata"));
        Assert.Null(domain.Element("memoryBacking"));
    }

    [Fact]
    public void Metadata_is_one_element_of_the_tiering_namespace()
    {
        XElement tiering = Payload(tiering: "dram=\"32MiB\" mode=\"observe\"").Element("metadata")!.Elements().Single();

        Assert.Equal(s_tiering + "tiering", tiering.Name);
        Assert.Equal("32MiB", (string?)tiering.Attribute("dram"));
        Assert.Equal("observe", (string?)tiering.Attribute("mode"));
    }

    [Fact]
    public void Shared_memory_is_a_memfd()
    {
        XElement backing = Payload(GuestMemory.SharedMemfd).Element("memoryBacking")!;

        Assert.Equal("memfd", (string?)backing.Element("source")!.Attribute("type"));
        Assert.Equal("shared", (string?)backing.Element("access")!.Attribute("mode"));
    }

    [Fact]
    public void A_linux_guest_boots_a_kernel_that_is_told_its_working_set()
    {
        var guest = new LinuxGuest
        {
            Name = "lin",
            AreaMebibytes = 80,
            HotMebibytes = 8,
            PassPause = TimeSpan.FromMilliseconds(500),
        };
        XElement os = XElement.Parse(guest.DomainXml()).Element("os")!;

        Assert.Equal(LinuxGuest.KernelPath, (string?)os.Element("kernel"));
        Assert.Equal(LinuxGuest.InitrdPath, (string?)os.Element("initrd"));
        Assert.EndsWith(" workset=80,8,500", (string?)os.Element("cmdline"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_linux_guest_whose_area_does_not_fit_is_refused()
    {
        var guest = new LinuxGuest { Name = "lin", MemoryMebibytes = 128, AreaMebibytes = 96 };

        var error = Assert.Throws<ArgumentException>(() => guest.DomainXml());
        Assert.Contains("area 96, memory 128", error.Message, StringComparison.Ordinal);
    }
}
