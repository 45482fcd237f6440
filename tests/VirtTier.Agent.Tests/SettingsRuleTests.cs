// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Commands;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests;

public sealed class SettingsRuleTests
{
    private static readonly RunningDomain s_domain = Domains.Running("60%", name: "db-1") with
    {
        Uuid = Guid.Parse("7d3c4a1e-0000-4000-8000-000000000001"),
        Labels = new("the ledger", "prod", "m1.large", TieringSettings.Default with { Shares = 300 }, null,
            "flavor@name=m1.large\nowner@team=billing")
        {
            Labels = "ledger\nprod-eu",
        },
    };

    [Theory]
    [InlineData("name: 'db-*'", true)]
    [InlineData("name: 'web-*'", false)]
    [InlineData("name: ['web-*', 'db-?']", true)]
    [InlineData("title: the ledger", true)]
    [InlineData("uuid: 7d3c4a1e-0000-4000-8000-000000000001", true)]
    [InlineData("source: libvirt", true)]
    [InlineData("source: kubevirt", false)]
    [InlineData("source: [kubevirt, lib*]", true)]
    [InlineData("label: prod-*", true)]
    [InlineData("label: prod", false)]
    [InlineData("label: '*ledger*prod*'", false)]
    [InlineData("namespace: prod", true)]
    [InlineData("namespace: test", false)]
    [InlineData("flavor: 'm1.*'", true)]
    [InlineData("cgroup: '*/machine.slice/*'", true)]
    [InlineData("cgroup: '*kubepods*'", false)]
    [InlineData("owner@team: bill*", true)]
    [InlineData("owner@team: sales", false)]
    [InlineData("owner@other: '*'", false)]
    [InlineData("{name: 'db-*', namespace: test}", false)]
    public void A_rule_is_for_what_it_matches(string match, bool fits)
    {
        if (!match.StartsWith('{'))
            match = $"{{{match}}}";
        AgentConfig config = Read($"rules:\n- match: {match}\n  limit: {{shares: 7}}\n");
        Assert.Equal(fits ? 7 : 300, Of(config).Settings.Shares);
    }

    [Fact]
    public void The_first_that_matches_counts_and_the_order_is_owner_flavor_rule_defaults()
    {
        EffectiveSettings effective = Of(Read("""
            defaults: {min: 1%, rate: 10MiB/s}
            rules:
            - match: {name: web}
              set: {dram: 1%}
            - match: {name: db-1}
              set: {dram: 10%, shares: 5, min: 2%}
            - set: {max: 3%}
            """));
        Assert.Equal("""
            dram    60%      metadata
            min     2%       rule at t.yaml:5
            max     100%     built in
            shares  300      flavor m1.large
            mode    enforce  built in
            rate    10MiB/s  defaults
            split   off      built in

            """, ExplainCommand.ToText(effective.Origins));
    }

    [Fact]
    public void An_owner_who_does_not_count_is_not_asked() =>
        Assert.Equal(("10%", 300), Of(Read("rules:\n- set: {dram: 10%}\n  owner: false\n")).Settings switch
        {
            var s => (s.Dram.ToString(), s.Shares),
        });

    [Fact]
    public void A_limit_cuts_whoever_asked_and_says_so()
    {
        EffectiveSettings effective = Of(Read("rules:\n- limit: {dram: 50%, shares: 200, mode: observe, rate: 1MiB/s}\n"));
        Assert.Equal(
            ("50%", 200, TieringMode.Observe, 1UL << 20),
            (effective.Settings.Dram.ToString(), effective.Settings.Shares, effective.Settings.Mode,
                effective.Settings.Rate!.Value.BytesPerSecond));
        Assert.Equal("60% was cut by the limit of the rule at t.yaml:2",
            effective.Origins.Single(o => o.Attribute == "dram").Cut);
        Assert.Equal("metadata", effective.Origins.Single(o => o.Attribute == "dram").From);
    }

    [Theory]
    [InlineData("", "", "off", "built in")]
    [InlineData("migration: {split: 20%}\n", "", "20%", "built in")]
    [InlineData("migration: {split: 20%}\n", "5%", "5%", "metadata")]
    [InlineData("", "50%", "50%", "metadata")]
    [InlineData("defaults: {split: 3%}\n", "", "3%", "defaults")]
    [InlineData("rules:\n- limit: {split: 10%}\n", "50%", "10%", "metadata")]
    [InlineData("rules:\n- limit: {split: 10%}\n", "2.5%", "2.5%", "metadata")]
    [InlineData("rules:\n- limit: {split: off}\n", "50%", "off", "metadata")]
    [InlineData("migration: {split: 20%}\nrules:\n- limit: {split: 10%}\n", "", "10%", "built in")]
    public void Splits_are_the_owners_to_ask_for_and_the_hosts_to_limit(string config, string asked, string holds, string from)
    {
        BlockShare? split = asked.Length > 0 && BlockShare.TryParse(asked, out BlockShare share, out _) ? share : null;
        RunningDomain domain = s_domain with { Settings = s_domain.Settings with { Split = split } };

        SettingOrigin origin = EffectiveSettings.Of(domain, Read(config), _ => null).Origins.Single(o => o.Attribute == "split");

        Assert.Equal((holds, from), (origin.Value, origin.From));
    }

    [Theory]
    [InlineData("libvirt", "metadata")]
    [InlineData("proxmox", "tags")]
    [InlineData("kubevirt", "annotation")]
    public void What_the_owner_asks_for_is_from_where_owners_say_it(string source, string from)
    {
        SettingOrigin Dram(string rules) => EffectiveSettings.Of(s_domain with { Source = source }, Read(rules), _ => null)
            .Origins.Single(origin => origin.Attribute == "dram");

        Assert.Equal(("60%", from), (Dram("").Value, Dram("").From));
        Assert.Equal("built in", Dram("rules:\n- owner: false\n").From);
    }

    [Theory]
    [InlineData("auto", "", "", "max=50%")]
    [InlineData("auto", "", "80%", "max=50%")]
    [InlineData("auto", "70%", "80%", "min=50% max=50%")]
    [InlineData("auto", "", "20%", "max=20%")]
    [InlineData("40%", "", "", "dram=40%")]
    [InlineData("100%", "", "", "dram=50%")]
    public void A_limit_of_dram_bounds_what_auto_may_choose(string dram, string min, string max, string holds)
    {
        RunningDomain domain = Domains.Running() with
        {
            Settings = new() { Dram = Size(dram), Min = Size(min), Max = Size(max) },
        };
        TieringSettings settings = EffectiveSettings.Of(domain, Read("rules:\n- limit: {dram: 50%}\n")).Settings;
        Assert.Equal(holds, string.Join(' ', settings
            .ToAttributes().Where(a => a.Value != "auto").Select(a => $"{a.Key}={a.Value}")));
    }

    [Theory]
    [InlineData("- match: {nmae: x}\n  owner: false\n", "t.yaml:2:11: unknown key 'nmae' in 'match'; known: name, title")]
    [InlineData("- match: {name: x}\n", "t.yaml:2:3: the rule does nothing")]
    [InlineData("- limit: {dram: auto}\n", "t.yaml:2:10: limit.dram: auto is no limit")]
    [InlineData("- set: {dram: 2}\n", "t.yaml:2:15: set.dram: '2' has no unit")]
    [InlineData("- sets: {dram: 2}\n", "t.yaml:2:3: unknown key 'sets' in 'rules'; known: match, set, limit, owner")]
    [InlineData("  name: x\n", "t.yaml:2:3: 'rules' must be a list")]
    public void A_mistake_is_named_with_its_place(string rules, string message) => Assert.StartsWith(
        message, Assert.Throws<ConfigException>(() => Read("rules:\n" + rules)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("{name: '*'}", "{name: x}", "t.yaml:4:3: this rule can never match: the rule at t.yaml:2 comes first")]
    [InlineData("{name: 'db-*'}", "{name: db-1, flavor: x}", "t.yaml:4:3: this rule can never match: the rule at t.yaml:2")]
    [InlineData("{name: x}", "{uuid: 123}", "t.yaml:4:3: this rule can never match: '123' is no UUID")]
    [InlineData("{name: x}", "{source: pods}", "t.yaml:4:3: this rule can never match: there is no source 'pods'")]
    [InlineData("{name: x}", "{source: \"kube*\"}", null)]
    [InlineData("{name: 'db-*'}", "{name: 'd*'}", null)]
    [InlineData("{name: x, flavor: y}", "{name: x}", null)]
    [InlineData("{flavor: '*'}", "{name: x}", null)]
    public void A_rule_that_can_never_match_is_a_warning(string first, string second, string? warning)
    {
        string? found = Read($"rules:\n- match: {first}\n  owner: false\n- match: {second}\n  owner: false\n")
            .Warnings.SingleOrDefault();
        if (warning is null)
            Assert.Null(found);
        else
            Assert.StartsWith(warning, found, StringComparison.Ordinal);
    }

    private static SizeSpec Size(string text) => text.Length > 0 ? SizeSpec.Parse(text) : SizeSpec.Unset;

    private static EffectiveSettings Of(AgentConfig config) =>
        EffectiveSettings.Of(s_domain, config, _ => "/sys/machine.slice/machine-qemu.scope");

    private static AgentConfig Read(string text) => ConfigReader.Read("t.yaml", text);
}
