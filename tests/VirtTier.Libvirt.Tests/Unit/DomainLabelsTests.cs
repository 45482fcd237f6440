// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Libvirt.Tests.Unit;

public sealed class DomainLabelsTests
{
    private const string Instance = """
        <nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>
          <nova:flavor name='m1.large' id='7'>
            <nova:memory>64</nova:memory>
            <nova:extraSpecs>
              <nova:extraSpec name='hw:cpu_policy'>shared</nova:extraSpec>
              <nova:extraSpec name='virttier:dram'>VALUE</nova:extraSpec>
            </nova:extraSpecs>
          </nova:flavor>
        </nova:instance>
        """;

    [Fact]
    public void A_flavor_has_its_name_and_what_its_extra_specs_ask_for()
    {
        DomainLabels labels = Of("vm", Instance.Replace("VALUE", "25%", StringComparison.Ordinal));
        Assert.Equal("m1.large", labels.Flavor);
        Assert.Equal(TieringSettings.Default with { Dram = SizeSpec.FromPercent(25) }, labels.FlavorSettings);
        Assert.Null(labels.FlavorProblem);
        Assert.Contains("flavor@id=7", labels.Metadata, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bad_extra_spec_is_named_and_none_of_them_counts()
    {
        DomainLabels labels = Of("vm", Instance.Replace("VALUE", "lots", StringComparison.Ordinal));
        Assert.Equal(TieringSettings.Default, labels.FlavorSettings);
        Assert.StartsWith("extra spec virttier:dram: 'lots'", labels.FlavorProblem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_namespace_is_that_of_a_kubevirt_vm()
    {
        Assert.Equal("prod", Of("prod_db", "<kubevirt xmlns='http://kubevirt.io'><uid/></kubevirt>").Namespace);
        Assert.Null(Of("prod_db", "").Namespace);
    }

    [Fact]
    public void What_says_the_same_is_equal()
    {
        string xml = Instance.Replace("VALUE", "25%", StringComparison.Ordinal);
        Assert.Equal(Of("vm", xml), Of("vm", xml));
        Assert.Same(DomainLabels.None, Of("vm", ""));
    }

    private static DomainLabels Of(string name, string metadata) =>
        DomainXml.Parse(new TestDomain(name) { Metadata = metadata }.ToXml()).Labels;
}
