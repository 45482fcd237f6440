// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Commands;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests;

/// <summary>What <c>virttier set</c> makes of what is there, and what <c>virttier get</c> shows.</summary>
public sealed class SettingsChangeTests
{
    private const ulong Memory = 4UL << 30;

    [Fact]
    public void Attributes_that_are_not_named_stay_as_they_are() => Assert.Equal(
        "dram=2GiB shares=7 mode=observe", Apply(Set(("dram", "2GiB"), ("mode", "observe")), ("dram", "1GiB"), ("shares", "7")));

    [Fact]
    public void Unset_takes_out_one_and_remove_all_that_are_not_set()
    {
        (string, string)[] before = [("dram", "1GiB"), ("shares", "7")];

        Assert.Equal("dram=1GiB", Apply(new SettingsChange(new Dictionary<string, string>(), ["shares"], false), before));
        Assert.Equal("", Apply(new SettingsChange(new Dictionary<string, string>(), [], true), before));
        Assert.Equal("mode=off", Apply(Set(("mode", "off")) with { RemoveAll = true }, before));
    }

    [Theory]
    [InlineData("dram", "2", "--dram: '2' has no unit")]
    [InlineData("dram", "8GiB", "--dram: '8GiB' is more than the domain's memory: give at most 4GiB")]
    [InlineData("shares", "0", "--shares: '0' is not a weight")]
    [InlineData("mode", "fast", "--mode: 'fast' is not a mode: there are enforce, observe and off")]
    [InlineData("rate", "5MiB", "--rate: '5MiB' is not a rate")]
    [InlineData("min", "3GiB", "--min: min is 3GiB, above max, which is 2GiB")]
    public void Bad_values_are_refused_by_option(string name, string value, string message) => Assert.StartsWith(
        message,
        Assert.Throws<SettingsRefusedException>(() => Apply(Set((name, value)), ("max", "2GiB"))).Message,
        StringComparison.Ordinal);

    [Fact]
    public void What_was_bad_before_is_told_apart_with_the_way_out()
    {
        SettingsRefusedException e = Assert.Throws<SettingsRefusedException>(
            () => Apply(Set(("dram", "1GiB")), ("colour", "red")));

        Assert.Contains("colour=\"red\" was there before", e.Message, StringComparison.Ordinal);
        Assert.EndsWith("take it out with --unset colour", e.Message, StringComparison.Ordinal);
        Assert.Equal("dram=1GiB", Apply(Set(("dram", "1GiB")) with { Unset = ["colour"] }, ("colour", "red")));
    }

    [Fact]
    public void Settings_survive_the_way_into_attributes_and_back()
    {
        TieringSettings settings = new()
        {
            Dram = SizeSpec.FromBytes(1536), Min = SizeSpec.FromPercent(12.5m), Max = SizeSpec.FromBytes(3UL << 30),
            Shares = 7, Mode = TieringMode.Observe, Rate = ByteRate.Parse("10MiB/s"), Split = new BlockShare(0.125),
        };

        Assert.Equal(settings, TieringSettings.FromAttributes(settings.ToAttributes()).Settings);
        Assert.Equal(TieringSettings.AttributeNames, settings.ToAttributes().Select(a => a.Key));
        Assert.Empty(TieringSettings.Default.ToAttributes());
    }

    [Fact]
    public void Get_shows_both_copies_side_by_side_and_what_is_wrong()
    {
        SettingsCopyView live = new(new Dictionary<string, string> { ["dram"] = "512MiB", ["colour"] = "red" }, Memory,
            [new SettingProblemStatus("colour", "red", "unknown attribute")]);
        SettingsCopyView config = new(new Dictionary<string, string> { ["dram"] = "25%" }, Memory, []);

        Assert.Equal(
            """
            web1    live    config
            dram    512MiB  25%
            min     -       -
            max     -       -
            shares  -       -
            mode    -       -
            rate    -       -
            split   -       -
            colour  red     -
            live: colour="red": unknown attribute

            """,
            new DomainSettingsView("web1", Guid.Empty, live, config).ToText());
        Assert.StartsWith("web1    live (off)  config", new DomainSettingsView("web1", Guid.Empty, null, config).ToText(),
            StringComparison.Ordinal);
    }

    private static SettingsChange Set(params (string Name, string Value)[] set) =>
        new(set.ToDictionary(s => s.Name, s => s.Value), [], false);

    private static string Apply(SettingsChange change, params (string Name, string Value)[] before)
    {
        DomainSettings current = new([.. before.Select(b => KeyValuePair.Create(b.Name, b.Value))], Memory, []);
        return string.Join(' ', change.ApplyTo(current).Select(a => $"{a.Key}={a.Value}"));
    }
}
