// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Tests.Host;

/// <summary>Who may call what, with the packaged policy on a bus whose own policy is that of a system bus.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class BusPolicyTests : AgentOnBus
{
    private static readonly string[] s_root = [];
    private static readonly string[] s_operator = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", "libvirt"];
    private static readonly string[] s_nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"];
    private static readonly string[] s_exporter = ["setpriv", "--reuid", ExporterUser, "--regid", ExporterUser, "--clear-groups"];

    private static readonly string[] s_agent = ["setpriv", "--reuid", AgentUser, "--regid", AgentUser, "--clear-groups"];

    [Fact]
    public async Task The_agents_user_may_own_its_name_ask_libvirt_and_set_metadata_and_nobody_else_may()
    {
        string[] own =
        [
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
            "su", "org.virttier.Agent1", "0",
        ];
        string[][] questions =
        [
            ["org.libvirt", "/org/libvirt/QEMU", "org.libvirt.Connect", "ListDomains", "u", "1"],
            ["org.libvirt", "/org/libvirt/QEMU", "org.libvirt.Connect", "GetAllDomainStats", "uu", "1", "0"],
            ["org.libvirt", "/org/libvirt/QEMU/domain/_1", "org.libvirt.Domain", "GetXMLDesc", "u", "0"],
            ["org.libvirt", "/org/libvirt/QEMU/domain/_1", "org.libvirt.Domain", "GetJobStats", "u", "0"],
            ["org.libvirt", "/org/libvirt/QEMU/domain/_1", "org.libvirt.Domain", "SetMetadata",
                "isssu", "2", "<heat/>", "k", "u", "1"],
        ];
        string[] change = ["org.libvirt", "/org/libvirt/QEMU/domain/_1", "org.libvirt.Domain", "Destroy", "u", "0"];
        Bus.OwnName("org.libvirt"); // a name that nobody owns is not looked up in the policy
        await Eventually.IsTrue(
            async () => (await CallAsync(s_nobody, questions[0])).Contains("Access denied", StringComparison.Ordinal),
            () => "nobody owns libvirt's name, or anyone may ask it");

        foreach (string[] call in questions)
        {
            Assert.Contains("Access denied", await CallAsync(s_nobody, call), StringComparison.Ordinal);
            Assert.DoesNotContain("Access denied", await CallAsync(s_agent, call), StringComparison.Ordinal);
        }
        Assert.Contains("Access denied", await CallAsync(s_agent, change), StringComparison.Ordinal);
        Assert.Contains("Access denied", await CallAsync(s_nobody, own), StringComparison.Ordinal);
        Assert.Equal("", await CallAsync(s_agent, own));

        async Task<string> CallAsync(string[] user, string[] call) =>
            (await RunAsync([.. user, "busctl", "--address=" + Address, "call", .. call])).Errors;
    }

    [Theory]
    [InlineData("GetStatus")]
    [InlineData("ListDomains")]
    [InlineData("GetDomain", "s", "web9")]
    [InlineData("GetCurve", "s", "web9")]
    public async Task Operators_may_read_and_others_may_not(params string[] call)
    {
        Assert.DoesNotContain("Access denied", (await BusctlAsync(s_root, "call", call)).Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("Access denied", (await BusctlAsync(s_operator, "call", call)).Errors, StringComparison.Ordinal);
        Assert.Contains("Access denied", (await BusctlAsync(s_nobody, "call", call)).Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Reload")]
    [InlineData("Notify", "sss", "web1", "started", "/x")]
    [InlineData("Admit", "ss", "web1", "/x")]
    public async Task Only_root_may_write(params string[] call)
    {
        Assert.Contains("Access denied", (await BusctlAsync(s_operator, "call", call)).Errors, StringComparison.Ordinal);
        Assert.Contains("Access denied", (await BusctlAsync(s_nobody, "call", call)).Errors, StringComparison.Ordinal);
        Assert.Equal((0L, 0), (Hook.Calls, Reloads));

        Assert.Equal(0, (await BusctlAsync(s_root, "call", call)).ExitCode);
        Assert.Equal(1, Hook.Calls + Reloads);
    }

    [Fact]
    public async Task The_exporter_may_read_the_status_and_do_nothing_else()
    {
        (int exitCode, string output, string errors) = await BusctlAsync(s_exporter, "call", "GetStatus");
        Assert.True(exitCode == 0, errors);
        Assert.Contains("web1", output, StringComparison.Ordinal);

        string[][] others =
        [
            ["ListDomains"], ["GetDomain", "s", "web1"], ["GetCurve", "s", "web1"], ["Reload"],
            ["Notify", "sss", "web1", "started", "/x"], ["Admit", "ss", "web1", "/x"],
        ];
        foreach (string[] call in others)
            Assert.Contains("Access denied", (await BusctlAsync(s_exporter, "call", call)).Errors, StringComparison.Ordinal);
        Assert.Contains("Access denied", (await BusctlAsync(s_exporter, "introspect")).Errors, StringComparison.Ordinal);
        (_, _, errors) = await BusctlAsync(s_exporter, "get-property", "org.virttier.Agent1", "Version");
        Assert.Contains("Access denied", errors, StringComparison.Ordinal);
        Assert.Equal((0L, 0), (Hook.Calls, Reloads));
    }

    [Fact]
    public async Task Busctl_introspect_shows_methods_and_properties_with_their_values()
    {
        (int exitCode, string output, string errors) = await BusctlAsync(s_operator, "introspect");

        Assert.True(exitCode == 0, errors);
        foreach (string line in new[] { @"\.ListDomains +method +- +a\(ssss\)", @"\.GetDomain +method +s +s",
            @"\.Reload +method +- +-", "\\.Version +property +s +\"1\\.2\\.3\"", @"\.LibvirtConnected +property +b +true" })
            Assert.Matches(line, output);
    }

    [Fact]
    public async Task Nobody_but_root_may_own_the_name()
    {
        (int exitCode, _, string errors) = await RunAsync(
            [.. s_nobody, "busctl", "--address=" + Address, "call", "org.freedesktop.DBus", "/org/freedesktop/DBus",
                "org.freedesktop.DBus", "RequestName", "su", "org.virttier.Agent1", "2"]);

        Assert.NotEqual(0, exitCode);
        Assert.Contains("Access denied", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Signals_of_others_such_as_libvirts_still_reach_the_agent()
    {
        TaskCompletionSource received = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using IDisposable subscription =
            Bus.Subscribe("type='signal',interface='org.libvirt.Connect'", _ => received.TrySetResult());

        // More than once: the match rule may still be on its way to the bus.
        await Eventually.IsTrue(
            async () =>
            {
                await RunAsync([.. s_nobody, "busctl", "--address=" + Address, "emit", "/org/libvirt/QEMU", "org.libvirt.Connect",
                    "DomainEvent", "oii", "/x", "2", "0"]);
                return received.Task.IsCompleted;
            },
            () => "no signal has come");
    }
}
