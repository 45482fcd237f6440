// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Tests.Unit;

public sealed class TieringSettingsTests
{
    private const ulong Memory = 1ul << 30;

    [Fact]
    public void Every_attribute_is_read()
    {
        var (settings, problems) = Parse(
            "dram='auto' min='10%' max='512MiB' shares='250' mode='observe' rate='200MiB/s' split='2.5%'");

        Assert.Empty(problems);
        Assert.Equal(SizeSpec.Auto, settings.Dram);
        Assert.Equal(SizeSpec.FromPercent(10), settings.Min);
        Assert.Equal(SizeSpec.FromBytes(512 << 20), settings.Max);
        Assert.Equal(250, settings.Shares);
        Assert.Equal(TieringMode.Observe, settings.Mode);
        Assert.Equal(new ByteRate(200 << 20), settings.Rate);
        Assert.Equal(new BlockShare(0.025), settings.Split);
    }

    [Theory]
    [InlineData("dram='2000'", "dram", "has no unit")]
    [InlineData("dram='2GiB'", "dram", "more than the domain's memory: give at most 1GiB")]
    [InlineData("min='auto'", "min", "give a size or a percentage")]
    [InlineData("min='50%' max='256MiB'", "min", "min is 50%, above max, which is 256MiB")]
    [InlineData("shares='0'", "shares", "whole number from 1 to 10000")]
    [InlineData("shares='1.5'", "shares", "whole number from 1 to 10000")]
    [InlineData("mode='on'", "mode", "there are enforce, observe and off")]
    [InlineData("rate='fast'", "rate", "such as 200MiB/s")]
    [InlineData("split='5'", "split", "must be 'off', or a share of a domain's huge pages from 0.1% to 100%, such as 5%")]
    [InlineData("split='0%'", "split", "from 0.1% to 100%")]
    [InlineData("split='101%'", "split", "from 0.1% to 100%")]
    [InlineData("split='on'", "split", "must be 'off'")]
    [InlineData("Dram='1GiB'", "Dram", "unknown attribute: there are dram, min, max, shares, mode, rate, split")]
    public void A_problem_names_the_attribute_and_what_would_be_right(string attributes, string attribute, string message)
    {
        SettingsProblem problem = Assert.Single(Parse(attributes).Problems);
        Assert.Equal(attribute, problem.Attribute);
        Assert.Contains(message, problem.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("<teiring xmlns='urn:virttier:tiering:1'/>", "it must be <tiering>")]
    [InlineData("<tiering xmlns='urn:virttier:tiering:1'><dram>1GiB</dram></tiering>", "all settings are attributes")]
    [InlineData("<tiering xmlns='urn:virttier:tiering:1'>1GiB</tiering>", "all settings are attributes")]
    public void An_element_of_another_shape_is_a_problem(string xml, string message)
    {
        SettingsProblem problem = Assert.Single(TieringSettings.FromElement(XElement.Parse(xml), Memory).Problems);
        Assert.Equal("tiering", problem.Attribute);
        Assert.Contains(message, problem.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Thousands_of_bad_attributes_are_a_few_problems()
    {
        string attributes = string.Join(' ', Enumerable.Range(0, 5000).Select(i => $"a{i}='{i}'"));
        Assert.InRange(Parse(attributes).Problems.Count, 1, 20);
    }

    [Fact]
    public void No_element_is_the_defaults()
    {
        var (settings, problems) = TieringSettings.FromElement(null, Memory);
        Assert.Equal(TieringSettings.Default, settings);
        Assert.Empty(problems);
    }

    private static (TieringSettings Settings, IReadOnlyList<SettingsProblem> Problems) Parse(string attributes) =>
        TieringSettings.FromElement(XElement.Parse($"<tiering xmlns='urn:virttier:tiering:1' {attributes}/>"), Memory);
}
