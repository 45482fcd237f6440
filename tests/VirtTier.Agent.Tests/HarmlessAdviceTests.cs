// SPDX-License-Identifier: Apache-2.0
using System.Text.RegularExpressions;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests;

/// <summary>No advice may harm a VM, in any state that it can be in. docs/doctor.md has the table;
/// this holds it against the code.</summary>
public sealed partial class HarmlessAdviceTests
{
    [Fact]
    public void The_table_has_what_the_code_says_of_each_state()
    {
        Dictionary<string, string> table = File.ReadLines(Path.Combine(Repository.Root, "docs/doctor.md"))
            .Select(line => line.Split('|', StringSplitOptions.TrimEntries))
            .Where(cells => cells.Length > 4 && cells[2].StartsWith('`') && cells[3] != "the same")
            .ToDictionary(cells => cells[2].Trim('`'), cells => cells[3].Replace("`", "", StringComparison.Ordinal));
        RunningDomain domain = Domains.Running(name: "NAME");

        Assert.Equal(Enum.GetNames<DomainState>().Append("MigratingOut").Order(), table.Keys.Order());
        foreach (DomainState state in Enum.GetValues<DomainState>())
        {
            DomainOrders orders = (domain with { State = state }).Orders(1);
            Assert.Equal(table[state.ToString()],
                orders.IsPaused
                    ? Reasons.Paused(orders.Domain)
                    : state == DomainState.Unknown ? "nothing, it is tiered" : "nothing");
            Assert.Equal(table["MigratingOut"], Reasons.Paused(domain with { State = state, MigratingOut = true }));
        }
    }

    [Fact]
    public void No_source_has_a_command_that_ends_starts_or_resumes_a_vm()
    {
        string[] found = [.. Directory.EnumerateFiles(Path.Combine(Repository.Root, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal))
            .SelectMany(File.ReadLines).Where(line => Harmful().IsMatch(line))];
        Assert.Equal([], found);
    }

    [Theory]
    [InlineData("$\"virsh destroy {name}\"")]
    [InlineData("ShellCommand.OnDomain(domain, \"virsh\", \"resume\")")]
    [InlineData("echo 2 > /sys/kernel/mm/ksm/run")]
    [InlineData("\"systemctl restart libvirtd libvirt-dbus\"")]
    [InlineData("\"systemctl reboot --firmware-setup\"")]
    public void Such_a_command_would_be_seen(string line) => Assert.Matches(Harmful(), line);

    // With the words in one string, and each in its own.
    [GeneratedRegex("""
        virsh("?,?\s+"?)(destroy|start|resume|suspend|reset|reboot|shutdown|undefine|dompm\w+|managedsave\S*|save|restore|migrate\S*|domjobabort|set(mem|vcpus)\S*)\b
        |ksm/run\b(?<=echo\ 2.*)|reconfigure-device.*\ all\b|(restart|stop)\ (libvirtd|virtqemud)|"systemctl\ reboot|kill(all)?\ -
        """, RegexOptions.IgnorePatternWhitespace)]
    private static partial Regex Harmful();
}
