// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Commands;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests;

/// <summary>Where there is no libvirt-dbus, the tool says what does the same.</summary>
public class VirshInsteadTests
{
    private static readonly LibvirtException s_noService =
        new("no libvirt-dbus", new BusException(BusException.ServiceUnknown, "unknown"));

    [Fact]
    public void A_change_is_said_as_a_command_of_virsh()
    {
        SettingsChange change = new(new Dictionary<string, string> { ["dram"] = "25%", ["mode"] = "observe" }, [], false);
        Assert.Equal(
            "no libvirt-dbus\nwithout libvirt-dbus, type (it replaces all attributes): "
                + "virsh metadata --uri urn:virttier:tiering:1 --live --config "
                + "--key virttier --set '<tiering dram=\"25%\" mode=\"observe\" />' 'my vm'",
            VirshInstead.Explain(s_noService, "my vm", VirshInstead.Write(change, live: true, config: true)));
    }

    [Fact]
    public void What_takes_all_out_removes_the_element()
    {
        SettingsChange change = new(new Dictionary<string, string>(), [], RemoveAll: true);
        Assert.EndsWith("--uri urn:virttier:tiering:1 --config --remove -- -dash",
            VirshInstead.Explain(s_noService, "-dash", VirshInstead.Write(change, live: false, config: true)),
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_takes_one_attribute_out_leaves_the_others_to_an_editor()
    {
        SettingsChange change = new(new Dictionary<string, string>(), ["dram"], RemoveAll: false);
        Assert.Equal(["--live", "--edit"], VirshInstead.Write(change, live: true, config: false));
    }

    [Fact]
    public void Any_other_failure_is_said_as_it_is() => Assert.Equal("no such domain", VirshInstead.Explain(
        new LibvirtException("no such domain", new BusException(BusException.Failed, "none")), "web1"));
}
