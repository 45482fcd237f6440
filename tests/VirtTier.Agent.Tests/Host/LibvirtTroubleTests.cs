// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;

namespace VirtTier.Agent.Tests.Host;

/// <summary>Why the real libvirt-dbus does not answer, as doctor tells it.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class LibvirtTroubleTests(AgentHost agent) : IClassFixture<AgentHost>
{
    [Fact]
    public async Task Each_trouble_has_its_own_mend()
    {
        agent.Host.Libvirtd.Signal(Daemon.SigStop);
        Assert.StartsWith("timeout 10 virsh", await MendAsync(), StringComparison.Ordinal);
        agent.Host.Libvirtd.Signal(Daemon.SigCont);

        await agent.Host.LibvirtDbus.EndAsync();
        Assert.Equal("systemctl start libvirt-dbus", await MendAsync());

        Assert.Equal("usermod -aG libvirt libvirtdbus && systemctl restart libvirt-dbus", await MendAsync("--clear-groups"));
        await agent.RunAsync("mv", "/run/libvirt/libvirt-sock", "/run/libvirt/away");
        Assert.Equal("systemctl start libvirtd.socket libvirtd.service", await MendAsync("--groups", "libvirt"));
    }

    private async Task<string?> MendAsync(params string[] groups)
    {
        using Daemon dbus = agent.Host.StartInside("libvirt-dbus-again",
            ["setpriv", "--reuid", "libvirtdbus", "--regid", "libvirtdbus", .. groups, "libvirt-dbus", "--system"]);
        await Eventually.IsTrue(
            async () => (await agent.RunAsync("busctl", "status", "org.libvirt")).ExitCode == 0,
            () => "libvirt-dbus does not come up");
        string? mend = await MendAsync();
        await dbus.EndAsync();
        return mend;
    }

    private async Task<string?> MendAsync()
    {
        (_, string output, string errors) = await agent.ToolAsync("doctor", "--json", "--config",
            await agent.Host.WriteFileAsync("dbus.yaml", "libvirt:\n  source: dbus\n"));
        Assert.Equal("", errors);
        using JsonDocument json = JsonDocument.Parse(output);
        return json.RootElement.GetProperty("findings").EnumerateArray()
            .First(f => f.GetProperty("check").GetString() == "libvirt").GetProperty("mend").GetString();
    }
}
