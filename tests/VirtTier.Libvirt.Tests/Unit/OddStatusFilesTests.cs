// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Text;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Tests.Unit;

/// <summary>Whatever lies where libvirt keeps the state of a domain is read, or refused in a short sentence, soon.</summary>
public sealed class OddStatusFilesTests
{
    private const string Good = """
        <!-- WARNING: THIS IS AN AUTO-GENERATED FILE. -->
        <domstatus state='running' reason='booted' pid='4711'>
          <taint flag='high-privileges'/>
          <monitor path='/var/lib/libvirt/qemu/domain-1-web1/monitor.sock' type='unix'/>
          <job type='modify' async='migration out' phase='perform3' flags='0x0'/>
          <domain type='kvm' id='1'><name>web1</name><uuid>7c3d2a66-0f0c-4b53-9d1a-0123456789ab</uuid>
            <memory unit='KiB'>1048576</memory><currentMemory unit='KiB'>524288</currentMemory></domain>
        </domstatus>
        """;

    [Fact]
    public void A_good_one_is_read()
    {
        DomainStatusFile read = DomainStatusFile.Parse(Encoding.UTF8.GetBytes(Good));
        Assert.Equal((DomainState.Running, true), (read.State, read.Job.CopiesMemory));
        Assert.Equal("web1", DomainXml.Parse(read.DomainXml).Name);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\0\0\0\0")]
    [InlineData("<")]
    [InlineData("<domstatus/>")]
    [InlineData("<domstatus state='running'>")]
    [InlineData("<domstatus state='running'><domain/></domstatus>")]
    [InlineData("<domstatus state='running'><x><domain id='1'/></x></domstatus>")]
    [InlineData("<domain id='1'><name>web1</name></domain>")]
    [InlineData("<!DOCTYPE a [<!ENTITY b 'c'>]><domstatus>&b;</domstatus>")]
    [InlineData("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><domstatus/>")]
    [InlineData("<?xml version='1.0' encoding='utf-16'?><domstatus/>")]
    [InlineData("<?xml version='2.0'?><domstatus/>")]
    [InlineData("<domstatus xmlns='urn:other'><domain/></domstatus>")]
    [InlineData("<domstatus state='running'><job async='")]
    [InlineData("<domstatus><domain id='1'><name>web1</name><uuid>0</uuid><memory>1</memory></domain></domstatus>")]
    [InlineData("<domstatus><domain id='1'><name>web1</name><memory unit='parsec'>1</memory></domain></domstatus>")]
    [InlineData("<domstatus><domain id='1'><name/><uuid>7c3d2a66-0f0c-4b53-9d1a-0123456789ab</uuid>"
        + "<memory>1</memory></domain></domstatus>")]
    public void An_odd_one_is_refused(string text) => Assert.True(Refuses(Encoding.UTF8.GetBytes(text)));

    [Theory]
    [InlineData("<a>")]
    [InlineData("<domain>")]
    [InlineData("<domstatus><domain id='1'>")]
    [InlineData("a='b' ")]
    [InlineData("&lt;")]
    [InlineData("<!-- -->")]
    [InlineData("<![CDATA[")]
    [InlineData("\uD83D\uDE00")]
    [InlineData("<a/>")]
    public async Task Much_of_anything_is_refused_soon(string piece)
    {
        string much = string.Concat(Enumerable.Repeat(piece, DomainStatusFile.MostBytes / piece.Length / 4));
        Stopwatch watch = Stopwatch.StartNew();
        foreach (string text in (string[])[much, "<domstatus " + much, "<domstatus>" + much, "<domstatus><domain>" + much,
            $"<domstatus state='running'><domain id='1'>{much}</domain></domstatus>"])
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            await Task.Run(() => Refuses(bytes)).WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
        }
        TestContext.Current.TestOutputHelper?.WriteLine($"{watch.Elapsed.TotalSeconds:F1} s");
    }

    [Theory]
    [InlineData("a{0}='b' ")]
    [InlineData("xmlns:a{0}='urn:a' ")]
    [InlineData("xmlns:a{0}='urn:{0}' a{0}:b='c' ")]
    public async Task Many_attributes_are_read_or_refused_soon(string attribute)
    {
        string many = string.Concat(Enumerable.Range(0, 60_000).Select(
            i => attribute.Replace("{0}", i.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)));
        foreach (string text in (string[])[
            Good.Replace("<domain ", $"<domain {many}", StringComparison.Ordinal),
            Good.Replace("<memory ", $"<metadata><t:tiering xmlns:t='urn:virttier:tiering:1' {many}/></metadata><memory ",
                StringComparison.Ordinal)])
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            await Task.Run(() => Refuses(bytes)).WaitAsync(TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public void One_with_any_damage_is_read_or_refused()
    {
        Random random = new(13);
        for (int run = 0; run < 3000; run++)
        {
            byte[] damaged = Encoding.UTF8.GetBytes(Good);
            for (int change = random.Next(5); change >= 0; change--)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            Refuses(random.Next(2) == 0 ? damaged : damaged[..random.Next(damaged.Length)]);
        }
    }

    private static bool Refuses(byte[] file)
    {
        try
        {
            DomainXml.Parse(DomainStatusFile.Parse(file).DomainXml);
            return false;
        }
        catch (FormatException e)
        {
            Assert.InRange(e.Message.Length, 1, 300);
            Assert.DoesNotContain(e.Message, char.IsControl);
            return true;
        }
    }
}
