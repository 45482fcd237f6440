// SPDX-License-Identifier: Apache-2.0
using System.Text;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests;

/// <summary>Whatever others write, a message about it is short and in one line, and nothing else happens.</summary>
public sealed class ForeignTextTests : IDisposable
{
    private const string Domain = """
        <domain type='kvm' id='1'><name>web1</name><uuid>7c3d2a66-0f0c-4b53-9d1a-0123456789ab</uuid><memory unit='KiB'>1048576</memory>
        <numatune><memory mode='strict' nodeset='0'/><memnode cellid='0' mode='restrictive' nodeset='0'/></numatune>
        <metadata><t:tiering xmlns:t='urn:virttier:tiering:1' dram='25%' min='1MiB' shares='7' mode='observe' rate='1MiB/s'/></metadata></domain>
        """;

    // XML takes neither ESC nor a lone surrogate; all the rest does.
    private static readonly string[] s_megabytes = [.. ((string[])["a", "\u001b", "\u0085\u202e", "😀", "\n", "<", "9"]).Select(
        text => string.Concat(Enumerable.Repeat(text, (1 << 20) / text.Length)))];

    private readonly HostTree _tree = new();
    private readonly FakeLog _log = new();

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void A_megabyte_in_any_place_of_a_definition_gives_a_short_message()
    {
        foreach (string much in s_megabytes)
        {
            foreach (string xml in (string[])
            [
                much, $"<{much}/>", $"<domain><{much}></domain>", $"<domain>{much}</domain>",
                Domain.Replace("'KiB'", $"'{much}'", StringComparison.Ordinal),
                Domain.Replace("1048576", much, StringComparison.Ordinal), Domain.Replace("web1", much, StringComparison.Ordinal),
                Domain.Replace("25%", much, StringComparison.Ordinal),
                Domain.Replace("dram=", $"{much}=", StringComparison.Ordinal),
                Domain.Replace("'7'", $"'{much}'", StringComparison.Ordinal),
                Domain.Replace("observe", much, StringComparison.Ordinal),
                Domain.Replace("1MiB/s", much, StringComparison.Ordinal),
                Domain.Replace("cellid='0'", $"cellid='{much}'", StringComparison.Ordinal),
                Domain.Replace("domain", much, StringComparison.Ordinal),
            ])
            {
                try
                {
                    foreach (SettingsProblem problem in DomainDefinition.Parse(xml).Problems)
                        Assert.All((string[])[problem.Attribute, problem.Value, problem.Message], AssertShown);
                }
                catch (FormatException e)
                {
                    AssertShown(e.Message);
                }
            }
        }
    }

    [Fact]
    public void A_hundred_thousand_elements_in_one_another_are_read_or_refused() => Assert.Throws<FormatException>(
        () => DomainDefinition.Parse("<domain>" + string.Concat(Enumerable.Repeat("<memory>", 100_000))
            + string.Concat(Enumerable.Repeat("</memory>", 100_000)) + "</domain>"));

    [Fact]
    public void A_definition_with_any_damage_is_read_or_refused()
    {
        Random random = new(11);
        const string Odd = "<>&'\"=/\0\u001b;:x9-%😀 ";
        for (int run = 0; run < 2000; run++)
        {
            StringBuilder xml = new(Domain);
            for (int change = random.Next(4); change >= 0; change--)
                xml[random.Next(xml.Length)] = Odd[random.Next(Odd.Length)];
            try
            {
                foreach (SettingsProblem problem in DomainDefinition.Parse(
                    xml.ToString(0, random.Next(2) == 0 ? xml.Length : random.Next(xml.Length))).Problems)
                    AssertShown(problem.Message);
            }
            catch (FormatException e)
            {
                AssertShown(e.Message);
            }
        }
    }

    [Fact]
    public void What_the_bus_and_the_hook_say_is_short()
    {
        using HookListener hook = new(
            new AdmissionControl(() => new PoolPromises(0, new Dictionary<DomainKey, long>(), new AgentConfig()),
                TimeProvider.System), () => { }, TimeProvider.System, _log);
        _tree.Write("/min.xml", Domain.Replace("mode='observe'", "", StringComparison.Ordinal));
        foreach (string much in s_megabytes)
        {
            AssertShown(new BusException("org.libvirt.Error", much).Message);
            AssertShown(Reasons.Failure(new InvalidOperationException(much)));
            _tree.Write("/domain.xml", $"<{much}/>");
            Assert.Null(hook.Admit(much, _tree.At("/domain.xml")));
            Assert.NotNull(hook.Admit(much, _tree.At("/min.xml")));
            hook.Notify("stopped", much);
        }
        Assert.True(_log.Lines.Count >= 3 * s_megabytes.Length);
        Assert.All(_log.Lines, AssertShown);
    }

    [Fact]
    public void A_hook_that_hands_over_what_has_no_end_is_not_read_to_it()
    {
        using HookListener hook = new(new AdmissionControl(() => throw new InvalidOperationException("not asked"),
            TimeProvider.System), () => { }, TimeProvider.System, _log);
        Assert.Null(hook.Admit("web1", "/dev/zero"));
        Assert.Contains("/dev/zero is no file", Assert.Single(_log.Lines), StringComparison.Ordinal);
    }

    [Fact]
    public void State_files_with_anything_in_them_are_left_aside_with_a_short_line()
    {
        foreach (string much in s_megabytes)
        {
            _tree.Write("/state/settings.json", $"{{\"{much}\":{{\"{much}\":3}}}}");
            Assert.Empty(new SettingsStore(_tree.At("/state"), _log).Load());
        }
        File.WriteAllBytes(_tree.At("/state/settings.json"), new byte[5 << 20]);
        Assert.Empty(new SettingsStore(_tree.At("/state"), _log).Load());

        Guid domain = Guid.NewGuid();
        HeatStore heat = new(_tree.At("/state"), _log);
        File.WriteAllBytes(heat.FileOf(domain, Domains.ThisProcess), new byte[4 << 20]);
        Assert.Null(heat.Load(domain, Domains.ThisProcess, pages: 512));
        Assert.NotNull(heat.Load(domain, Domains.ThisProcess, pages: 1 << 20));

        Assert.Contains(_log.Lines,
            line => line.Contains($"{Path.GetFileName(heat.FileOf(domain, Domains.ThisProcess))} has more than",
                StringComparison.Ordinal));
        Assert.All(_log.Lines, AssertShown);
    }

    [Fact]
    public void Settings_with_any_damage_cost_themselves_alone()
    {
        Random random = new(12);
        const string Good =
            """[{"Name":"a","Uuid":"7c3d2a66-0f0c-4b53-9d1a-0123456789ab","Attributes":{"dram":"25%"}},"""
            + """{"Name":"b","Uuid":"7c3d2a66-0f0c-4b53-9d1a-0123456789ac","Attributes":{"shares":"3"}}]""";
        for (int run = 0; run < 300; run++)
        {
            byte[] damaged = Encoding.UTF8.GetBytes(Good);
            for (int change = random.Next(4); change >= 0; change--)
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            _tree.Write("/state/settings.json", "");
            File.WriteAllBytes(_tree.At("/state/settings.json"), damaged);
            Assert.InRange(new SettingsStore(_tree.At("/state"), _log).Load().Count, 0, 2);
        }
        Assert.All(_log.Lines, AssertShown);
    }

    [Fact]
    public void A_file_is_read_up_to_its_bound_and_no_further()
    {
        _tree.Write("/file", "12345");
        Assert.Equal("12345", BoundedFile.ReadText(_tree.At("/file"), 5));
        Assert.Contains("more than 4 bytes", Assert.Throws<IOException>(() => BoundedFile.ReadText(_tree.At("/file"), 4)).Message,
            StringComparison.Ordinal);
        Assert.Throws<IOException>(() => BoundedFile.ReadBytes("/dev/zero", 1 << 20));
        Assert.NotNull(new LinuxProcesses().Identify(Environment.ProcessId));
    }

    [Fact]
    public void A_word_keeps_what_can_be_seen()
    {
        Assert.Equal("Überweb\\u001b[2J", Shorten.ForMessage("Überweb\u001b[2J"));
        Assert.Equal(new string('x', 60), Shorten.ForMessage(new string('x', 60)));
        Assert.Equal(new string('x', 60) + "...", Shorten.ForMessage(new string('x', 61)));
        Assert.Equal(new string('x', 160) + "...", Shorten.Sentence(new string('x', 161)));
    }

    private static void AssertShown(string message)
    {
        Assert.InRange(message.Length, 1, 300);
        Assert.DoesNotContain(message, char.IsControl);
    }
}
