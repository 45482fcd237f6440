// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Unit;

public sealed class DomainXmlTests
{
    [Fact]
    public void Memory_and_place_are_read()
    {
        DomainXml parsed = DomainXml.Parse(new TestDomain("web1")
        {
            MemoryMiB = 256,
            Extra = """
                <currentMemory unit='KiB'>131072</currentMemory>
                <cputune><vcpupin vcpu='0' cpuset='2'/><vcpupin vcpu='1' cpuset='3-4'/><emulatorpin cpuset='0-1'/></cputune>
                <numatune><memory mode='strict' nodeset='0-1,3'/></numatune>
                """,
        }.ToXml());

        Assert.Equal(256ul << 20, parsed.MemoryBytes);
        Assert.Equal(128ul << 20, parsed.CurrentMemoryBytes);
        Assert.Equal(new NumaHints("strict", "0-1,3", null, "0-1", "2;3-4"), parsed.Numa);
    }

    [Fact]
    public void Only_our_namespace_counts_as_our_metadata()
    {
        const string Foreign = "<x:tiering xmlns:x='urn:other' dram='2GiB'/>";
        DomainXml foreign = DomainXml.Parse(new TestDomain("web1") { Metadata = Foreign }.ToXml());
        string both = Foreign + TestDomain.MetadataOf("dram='1GiB'");
        DomainXml ours = DomainXml.Parse(new TestDomain("web1") { Metadata = both }.ToXml());

        Assert.Null(foreign.Tiering);
        Assert.Equal("1GiB", ours.Tiering!.Attribute("dram")!.Value);
    }

    [Theory]
    [InlineData("")]
    [InlineData("<domain>")]
    [InlineData("<network><name>x</name></network>")]
    [InlineData("<domain><name>x</name></domain>")]
    [InlineData("<domain><memory>1</memory><uuid>no</uuid><name>x</name></domain>")]
    [InlineData("<!DOCTYPE d [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain>&e;</domain>")]
    public void What_is_not_a_domain_is_a_format_error(string xml) =>
        Assert.Throws<FormatException>(() => DomainXml.Parse(xml));
}
