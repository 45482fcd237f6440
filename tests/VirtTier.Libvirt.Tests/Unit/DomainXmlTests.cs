// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;

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

    /// <summary>4 GiB as libvirt counts them, of which devices have some.</summary>
    [Theory]
    [InlineData("", 4096)]
    [InlineData("<memory model='dimm'><target><size unit='KiB'>1048576</size></target></memory>", 4096)]
    [InlineData(
        "<memory model='nvdimm'><source><path>/x</path></source><target><size unit='KiB'>1048576</size><label>"
            + "<size unit='KiB'>128</size></label></target></memory>", 3072)]
    [InlineData("<memory model='virtio-pmem'><target><size unit='KiB'>524288</size></target></memory>", 3584)]
    [InlineData("<memory model='sgx-epc'><target><size unit='KiB'>65536</size></target></memory>", 4032)]
    [InlineData(
        "<memory model='virtio-mem'><target><size unit='KiB'>2097152</size><block unit='KiB'>2048</block>"
            + "<requested unit='KiB'>1048576</requested><current unit='KiB'>524288</current></target></memory>", 2560)]
    [InlineData(
        "<memory model='virtio-mem'><target><size unit='KiB'>2097152</size>"
            + "<requested unit='KiB'>1048576</requested></target></memory>", 3072)]
    [InlineData(
        "<memory model='virtio-mem'><target><size unit='KiB'>2097152</size><requested unit='KiB'>0</requested>"
            + "<current unit='KiB'>0</current></target></memory>", 2048)]
    [InlineData(
        "<memory model='virtio-mem'><target><size unit='KiB'>1048576</size>"
            + "<current unit='KiB'>9999999</current></target></memory>", 4096)]
    [InlineData(
        "<memory model='dimm'><target><size unit='GiB'>1</size></target></memory><memory model='nvdimm'><target>"
            + "<size unit='GiB'>1</size></target></memory><memory model='sgx-epc'><target>"
            + "<size unit='MiB'>64</size></target></memory>", 3008)]
    [InlineData("<memory model='nvdimm'><target><size unit='TiB'>1</size></target></memory>", 4096)]
    public void What_is_no_ordinary_memory_now_does_not_count(string devices, ulong mebibytes) =>
        Assert.Equal(mebibytes << 20, DomainXml.Parse(Domain("<memory unit='KiB'>4194304</memory>", devices)).MemoryBytes);

    [Theory]
    [InlineData(4096, 1024, 1024)]
    [InlineData(4096, 0, 4096)]
    [InlineData(2048, 4096, 2048)]
    public void Shares_are_of_what_the_balloon_leaves(ulong memory, ulong current, ulong usable) => Assert.Equal(
        usable,
        new RunningDomain
        {
            Uuid = Guid.Empty,
            Name = "x",
            MemoryBytes = memory,
            CurrentMemoryBytes = current,
            Settings = Settings.TieringSettings.Default,
        }.UsableMemoryBytes);

    [Theory]
    [InlineData("<memory unit='KiB'>18446744073709551615</memory>", "")]
    [InlineData("<memory unit='TiB'>5000</memory>", "")]
    [InlineData("<memory>1</memory>",
        "<memory model='nvdimm'><target><size unit='GiB'>18446744073709551615</size></target></memory>")]
    [InlineData("<memory unit='lots'>1</memory>", "")]
    public void Sizes_of_no_machine_are_a_format_error(string memory, string devices) =>
        Assert.Throws<FormatException>(() => DomainXml.Parse(Domain(memory, devices)));

    [Fact]
    public void Restrictive_cells_are_read_and_strict_ones_left_to_the_kernel()
    {
        NumaHints hints = DomainXml.Parse(Domain(
            "<memory>1</memory><numatune><memnode cellid='0' mode='strict' nodeset='0'/>"
            + "<memnode cellid='1' mode='restrictive' nodeset='0-1'/><memnode cellid='2' mode='restrictive' nodeset='3'/>"
            + "<memnode cellid='3' mode='preferred' nodeset='4'/></numatune>",
            "")).Numa;
        Assert.Equal("1:0-1;2:3", hints.RestrictiveCells);
        Assert.Equal("2:3", DomainXml.Parse(Domain(
            "<memory>1</memory><numatune><memnode cellid='0;' mode='restrictive' nodeset='0'/>"
            + "<memnode cellid='1' mode='restrictive' nodeset='0;1'/>"
            + "<memnode cellid='2' mode='restrictive' nodeset='3'/></numatune>",
            "")).Numa.RestrictiveCells);
        Assert.Same(
            NumaHints.None,
            DomainXml.Parse(Domain("<memory>1</memory><numatune><memnode cellid='0' mode='strict' nodeset='0'/></numatune>",
                "")).Numa);
    }

    [Fact]
    public void The_guests_own_cells_are_read_with_what_its_owner_says_of_each()
    {
        NumaHints hints = DomainXml.Parse(Domain(
            "<memory>1</memory><cpu><numa><cell id='0' cpus='0-1,4' memory='2' unit='MiB'/>"
            + "<cell id='1' memory='512'/></numa></cpu>"
            + "<numatune><memnode cellid='0' nodeset='0'/><memnode cellid='1' mode='preferred' nodeset='1,3'/></numatune>",
            "")).Numa;
        Assert.Equal("0:0-1,4:2048;1::512", hints.Cells);
        Assert.Equal("0:strict:0;1:preferred:1,3", hints.CellNodes);
        Assert.Null(DomainXml.Parse(Domain(
            "<memory>1</memory><cpu><numa><cell id='0;1' cpus='0' memory='1'/></numa></cpu>", "")).Numa.Cells);
    }

    [Theory]
    [InlineData("<memory model='dimm'><target><size>2048</size><node>1</node></target>"
        + "<address type='dimm' slot='0' base='0x100000000'/></memory>", "1:4294967296:2048")]
    [InlineData("<memory model='virtio-mem'><target><size>4096</size><node>0</node><requested>0</requested>"
        + "<address base='0x140000000'/></target></memory>", "0:5368709120:4096")]
    [InlineData("<memory model='nvdimm'><target><size>2048</size><node>1</node></target>"
        + "<address type='dimm' slot='0' base='0x100000000'/></memory>", null)] // no RAM
    [InlineData("<memory model='dimm'><target><size>2048</size><node>1</node></target></memory>", null)]
    [InlineData("<memory model='dimm'><target><size>2048</size></target><address base='0x100000000'/></memory>", null)]
    [InlineData("<memory model='dimm'><target><size>2048</size><node>1;2</node></target><address base='0x1'/></memory>", null)]
    [InlineData("<memory model='dimm'><target><size>2</size><node>1</node></target><address base='0x10000000000000'/></memory>",
        null)]
    [InlineData("<memory model='dimm'><target><size>2</size><node>1</node></target><address base='4096'/></memory>", null)]
    public void Memory_devices_are_of_a_cell_where_they_are_known_to_be(string device, string? expected)
    {
        const string Cells = "<memory>1</memory><cpu><numa><cell id='0' cpus='0' memory='1'/></numa></cpu>";
        Assert.Equal(expected, DomainXml.Parse(Domain($"{Cells}<devices>{device}</devices>", "")).Numa.CellDevices);
        Assert.Null(DomainXml.Parse(Domain($"<memory>1</memory><devices>{device}</devices>", "")).Numa.CellDevices);
    }

    private static string Domain(string head, string devices) =>
        $"<domain><name>x</name><uuid>{Guid.Empty}</uuid>{head}<devices>{devices}</devices></domain>";

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
    [InlineData("<!DOCTYPE d [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;'>]><domain>&b;</domain>")]
    [InlineData("<domain>&nbsp;</domain>")]
    [InlineData("<domain><memory>1</memory><uuid>00000000-0000-0000-0000-000000000000</uuid><name></name></domain>")]
    public void What_is_not_a_domain_is_a_format_error(string xml) =>
        Assert.Throws<FormatException>(() => DomainXml.Parse(xml));

    [Fact]
    public void Xml_without_end_is_refused_in_a_sentence_before_it_is_worked_on()
    {
        string deep = string.Concat(Enumerable.Repeat("<a>", 200_000));
        string deepAndWhole = deep + string.Concat(Enumerable.Repeat("</a>", 200_000));
        string[] endless =
        [
            deep,
            "<domain>" + deep,
            Domain("<memory>1</memory>", "").Replace(
                "<devices>", "<metadata>" + deepAndWhole + "</metadata><devices>", StringComparison.Ordinal),
            Domain("<memory>1</memory>", "").Replace("<devices>",
                $"<metadata><t:tiering xmlns:t='{Settings.TieringSettings.MetadataNamespace}'>{deepAndWhole}</t:tiering>"
                    + "</metadata><devices>", StringComparison.Ordinal),
            Domain("<memory>1</memory>", string.Concat(Enumerable.Repeat("<a/>", 200_000))),
            Domain("<memory>1</memory>", new string(' ', 5 << 20)),
            $"<{new string('x', 1 << 20)}/>",
            $"<domain></{new string('x', 1 << 20)}>",
            Domain("<memory>1</memory>", "").Replace("<name>x", "<name>" + new string('x', 1 << 20), StringComparison.Ordinal),
        ];
        foreach (string xml in endless)
            Assert.InRange(Assert.Throws<FormatException>(() => DomainXml.Parse(xml)).Message.Length, 20, 300);
    }

    [Fact]
    public void Devices_with_more_than_a_number_holds_leave_the_memory_as_it_is_said()
    {
        string devices = string.Concat(Enumerable.Repeat(
            "<memory model='nvdimm'><target><size unit='TiB'>4096</size></target></memory>", 5000));
        Assert.Equal(1ul << 40, DomainXml.Parse(Domain("<memory unit='TiB'>1</memory>", devices)).MemoryBytes);
    }

    [Fact]
    public void Xml_as_deep_as_libvirt_reads_is_read()
    {
        string deep = string.Concat(Enumerable.Repeat("<a>", 255)) + string.Concat(Enumerable.Repeat("</a>", 255));
        string xml = Domain("<memory>1</memory>", "").Replace(
            "<devices>", $"<metadata><o:x xmlns:o='urn:other'>{deep}</o:x></metadata><devices>", StringComparison.Ordinal);
        Assert.Equal("x", DomainXml.Parse(xml).Name);
    }

    /// <summary>Nothing but an answer or a sentence comes of it, whatever a domain's XML has become.</summary>
    [Fact]
    public void Damaged_xml_is_read_or_refused_in_a_sentence()
    {
        string good = new TestDomain("web1")
        {
            Metadata = TestDomain.MetadataOf("dram='16MiB' min='1MiB' max='50%' shares='7' mode='observe' rate='10MiB/s'"),
            Extra = "<currentMemory unit='KiB'>65536</currentMemory><cputune><vcpupin vcpu='0' cpuset='2'/></cputune><numatune>"
                + "<memory mode='strict' nodeset='0'/>"
                + "<memnode cellid='0' mode='restrictive' nodeset='1'/></numatune>",
            Devices =
                "<memory model='virtio-mem'><target><size unit='KiB'>2048</size><requested>1024</requested></target></memory>",
        }.ToXml();
        const string odd = "<>/='\"&;!-?[]:%x0 9\t\n\0\u001b\u0085\u2028\ud800";
        Random random = new(7);
        int refused = 0, withProblems = 0, read = 0;
        for (int i = 0; i < 20_000; i++)
        {
            char[] text = good.ToCharArray();
            for (int change = random.Next(4); change >= 0; change--)
                text[random.Next(text.Length)] = odd[random.Next(odd.Length)];
            string xml = new(text);
            if (random.Next(20) == 0)
                xml = xml[..random.Next(xml.Length)]; // as after a power loss
            try
            {
                DomainDefinition definition = DomainDefinition.Parse(xml);
                Assert.InRange(definition.Name.Length, 1, 255);
                Assert.All(definition.Problems, problem => Assert.InRange(problem.Message.Length, 1, 300));
                Assert.DoesNotContain(definition.Problems, problem => problem.Message.Any(char.IsControl));
                if (definition.Problems.Count > 0)
                    withProblems++;
                else
                    read++;
            }
            catch (FormatException e)
            {
                Assert.InRange(e.Message.Length, 20, 300);
                Assert.DoesNotContain(e.Message, char.IsControl);
                refused++;
            }
        }

        Assert.True(refused > 1000 && withProblems > 100 && read > 100,
            $"{refused} refused, {withProblems} with problems, {read} read");
    }
}
