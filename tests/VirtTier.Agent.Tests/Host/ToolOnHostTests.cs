// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests.Host;

/// <summary>The tool and the agent with real libvirt, libvirt-dbus and QEMU.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class ToolOnHostTests(AgentHost agent) : IClassFixture<AgentHost>
{
    [Fact]
    public async Task Settings_are_set_and_got_back_in_each_copy_without_touching_the_rest()
    {
        await agent.Host.DefineAsync(new TestDomain("kept"));
        await agent.Host.VirshAsync("start", "kept");

        Assert.Equal("kept (live): dram=32MiB shares=7",
            await agent.ToolOkAsync("set", "kept", "--dram", "32MiB", "--shares", "7"));
        Assert.Equal("kept (config): mode=observe", await agent.ToolOkAsync("set", "kept", "--mode", "observe", "--config"));
        await agent.ToolOkAsync("set", "kept", "--dram", "25%", "--live", "--config");
        Assert.Equal((25m, 7), await LiveAsync("kept"));

        string shown = await agent.ToolOkAsync("get", "kept");
        Assert.Matches(@"(?m)^dram +25% +25%$", shown);
        Assert.Matches(@"(?m)^shares +7 +-$", shown);
        Assert.Matches(@"(?m)^mode +- +observe$", shown);
        await agent.UntilAsync("kept", d => d.BudgetBytes == 16 << 20);

        (int exitCode, _, string errors) = await agent.ToolAsync("set", "kept", "--dram", "32");
        Assert.Equal(2, exitCode);
        Assert.StartsWith("virttier: --dram: '32' has no unit", errors, StringComparison.Ordinal);
        Assert.Equal((25m, 7), await LiveAsync("kept"));

        Assert.Equal("kept (live): dram=25%", await agent.ToolOkAsync("set", "kept", "--unset", "shares"));
        Assert.Equal("kept (live): nothing set, the host's defaults hold", await agent.ToolOkAsync("set", "kept", "--remove"));
        Assert.Matches(@"(?m)^dram +- +25%$", await agent.ToolOkAsync("get", "kept"));
        await agent.UntilAsync("kept", d => d.Problems.Count == 0 && d.BudgetBytes > 16 << 20);

        await agent.Host.VirshAsync("destroy", "kept");
        Assert.Equal("kept (config): mode=observe dram=25% shares=3", await agent.ToolOkAsync("set", "kept", "--shares", "3"));
        using JsonDocument json = JsonDocument.Parse(await agent.ToolOkAsync("get", "kept", "--json"));
        Assert.Equal("3", json.RootElement.GetProperty("config").GetProperty("attributes").GetProperty("shares").GetString());
        Assert.Equal(2, (await agent.ToolAsync("set", "kept", "--shares", "3", "--live")).ExitCode);
    }

    [Fact]
    public async Task What_virsh_has_set_wrongly_is_shown_and_can_be_taken_out()
    {
        await agent.Host.CreateAsync(new TestDomain("wrong"));
        await agent.Host.SetMetadataAsync("wrong", "<tiering dram='32MiB' colour='red'/>");

        (int exitCode, string output, _) = await agent.ToolAsync("get", "wrong");
        Assert.Equal(1, exitCode);
        Assert.Contains("live: colour=\"red\": unknown attribute", output, StringComparison.Ordinal);
        Assert.Contains("--unset colour", (await agent.ToolAsync("set", "wrong", "--shares", "5")).Errors,
            StringComparison.Ordinal);
        Assert.Equal("wrong (live): dram=32MiB shares=5",
            await agent.ToolOkAsync("set", "wrong", "--shares", "5", "--unset", "colour"));

        (exitCode, _, string errors) = await agent.ToolAsync("set", "no-such-vm", "--shares", "5");
        Assert.Equal(4, exitCode);
        Assert.Contains("no-such-vm", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_vm_is_observed_and_enabled_again_in_both_copies_and_a_bare_call_says_what_is_next()
    {
        await agent.Host.DefineAsync(new TestDomain("switched"));
        await agent.Host.VirshAsync("start", "switched");
        Assert.Equal("switched (live): mode=observe\nswitched (config): mode=observe",
            await agent.ToolOkAsync("observe", "switched"));
        await agent.UntilAsync("switched", d => d.Mode == "observe");

        (_, string output, _) = await agent.ToolAsync();
        Assert.Contains("switched", output, StringComparison.Ordinal);
        Assert.Matches("(?m)^next: vir", output);

        Assert.Contains("switched (live): mode=enforce\nswitched (config): mode=enforce",
            await agent.ToolOkAsync("enable", "--all"), StringComparison.Ordinal);
        await agent.UntilAsync("switched", d => d.Mode == "enforce");

        (int exitCode, _, string errors) = await agent.ToolAsync("enable", "no-such-vm", "switched");
        Assert.Equal(4, exitCode);
        Assert.Contains("no-such-vm", errors, StringComparison.Ordinal);
        Assert.NotEqual(0, (await agent.ToolAsync("enable")).ExitCode);
        await agent.Host.VirshAsync("destroy", "switched");
    }

    [Fact]
    public async Task A_broken_configuration_leaves_the_old_one_in_force_and_a_good_one_holds_at_once()
    {
        await agent.ConfigureAsync("pool: { dram: 128MiB }\nhook:\n  admission: on\n");
        (int exitCode, _, string errors) = await agent.ToolAsync("reload");
        Assert.Equal(2, exitCode);
        Assert.Contains("virttier.yaml:3:3: unknown key 'admission' in 'hook'", errors, StringComparison.Ordinal);
        (_, _, errors) = await agent.RunAsync(
            "busctl", "call", "org.virttier.Agent1", "/org/virttier/Agent1", "org.virttier.Agent1", "Reload");
        Assert.Contains("unknown key", errors, StringComparison.Ordinal);
        Assert.Equal(128 << 20, (await agent.StatusAsync()).PoolBytes);

        await agent.ConfigureAsync("pool: { dram: 256MiB }\n");
        await agent.ToolOkAsync("reload");
        Assert.Equal(256 << 20, (await agent.StatusAsync()).PoolBytes);

        await agent.ConfigureAsync("pool: { dram: 128MiB }\n");
        agent.Agent.Signal(1); // SIGHUP
        await agent.UntilAsync(status => status.PoolBytes == 128 << 20);
        Assert.False(agent.Agent.HasEnded);
    }

    [Fact]
    public async Task Where_VMs_run_already_a_bare_call_says_what_becomes_of_each_and_one_next_command()
    {
        await agent.Agent.EndAsync(Daemon.SigTerm);
        await agent.Host.CreateAsync(new TestDomain("early1"));
        await agent.Host.CreateAsync(new TestDomain("early2"));
        (int exitCode, string output, string errors) = await agent.ToolAsync();
        Assert.Equal(3, exitCode);
        Assert.StartsWith("virttier: the agent is not running", errors, StringComparison.Ordinal);
        Assert.StartsWith("next: virttier doctor ", output, StringComparison.Ordinal);

        await agent.StartAgentAsync();
        await agent.UntilAsync(status => status.Domains.Count(d => d.Reason is not null) >= 2);
        (exitCode, output, errors) = await agent.ToolAsync();
        Assert.Equal((1, ""), (exitCode, errors)); // the kernel module is not there
        Assert.Matches("(?m)^│ early1 +│ waiting ", output);
        Assert.Matches("(?m)^│ early2 +│ waiting ", output);
        Assert.Matches("^next: virttier doctor ", output.TrimEnd().Split('\n')[^1]);
        Assert.Single(System.Text.RegularExpressions.Regex.Matches(output, "(?m)^next: "));

        // Where there is but one memory tier, as on most machines, nothing is to be mended of that: there is the estimate.
        using JsonDocument doctor =
            JsonDocument.Parse((await agent.ToolAsync("doctor", "--json", "--config", agent.ConfigFile)).Output);
        Assert.DoesNotContain(doctor.RootElement.GetProperty("findings").EnumerateArray(), finding =>
            finding.GetProperty("check").GetString() == "tiers"
                && finding.GetProperty("severity").GetString() is "Warning" or "Error");
        if ((await agent.StatusAsync()).Tiers.Count == 1)
            Assert.EndsWith("This host has one memory tier: nothing is moved, VMs are only watched.",
                await agent.ToolOkAsync("estimate"), StringComparison.Ordinal);
        await agent.Host.VirshAsync("destroy", "early1");
        await agent.Host.VirshAsync("destroy", "early2");
    }

    [Fact]
    public async Task The_last_good_settings_outlive_an_agent_that_is_killed()
    {
        await agent.Host.CreateAsync(new TestDomain("lasting"));
        await agent.ToolOkAsync("set", "lasting", "--dram", "24MiB", "--shares", "7");
        await agent.UntilAsync("lasting", d => d.BudgetBytes == 24 << 20);
        await Eventually.IsTrue( // the file is written after the picture
            () => agent.SavedSettings.Contains("\"shares\":\"7\"", StringComparison.Ordinal), () => agent.SavedSettings);

        await agent.Agent.EndAsync(Daemon.SigKill);
        await agent.Host.SetMetadataAsync("lasting", "<tiering dram='24'/>");
        await agent.StartAgentAsync();

        DomainStatus status = await agent.UntilAsync("lasting", d => d.Problems.Count > 0);
        Assert.Equal(24 << 20, status.BudgetBytes);
        Assert.Equal("dram", Assert.Single(status.Problems).Attribute);
        await agent.Host.VirshAsync("destroy", "lasting");
    }

    [Fact]
    public async Task A_domain_that_cannot_be_tiered_says_why_and_the_doctor_says_what_mends_it()
    {
        await agent.Host.CreateAsync(new TestDomain("waiting"));

        DomainStatus status = await agent.UntilAsync("waiting", d => d.StateName == "waiting");
        Assert.Contains("modprobe kvm_ept_sample", status.Reason, StringComparison.Ordinal);

        (int exitCode, string output, string errors) = await agent.ToolAsync("doctor", "--json", "--config", agent.ConfigFile);
        Assert.True(exitCode == 2, errors);
        using JsonDocument json = JsonDocument.Parse(output);
        Dictionary<string, string> severities = json.RootElement.GetProperty("findings").EnumerateArray()
            .GroupBy(f => f.GetProperty("check").GetString()!, f => f.GetProperty("severity").GetString()!)
            .ToDictionary(g => g.Key, g => g.Max()!);
        Assert.Equal(("Error", "Ok", "Ok", "Warning"),
            (severities["module"], severities["libvirt"], severities["agent"], severities["machined"]));
        Assert.DoesNotContain("could not be looked at", output, StringComparison.Ordinal);
        await agent.Host.VirshAsync("destroy", "waiting");
    }

    private async Task<(decimal? Percent, int? Shares)> LiveAsync(string domain)
    {
        string element = await agent.Host.VirshAsync("metadata", domain, "--uri", TieringSettings.MetadataNamespace, "--live");
        System.Xml.Linq.XElement xml = System.Xml.Linq.XElement.Parse(element);
        return (
            decimal.Parse(((string)xml.Attribute("dram")!).TrimEnd('%'), System.Globalization.CultureInfo.InvariantCulture),
            (int?)xml.Attribute("shares"));
    }
}
