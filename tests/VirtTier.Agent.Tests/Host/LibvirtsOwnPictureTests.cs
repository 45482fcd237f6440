// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;
using Tmds.DBus;
using VirtTier.Agent.Status;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests.Host;

/// <summary>The agent's picture held against libvirt's own, both read by a client that shares no code with the agent.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class LibvirtsOwnPictureTests(AgentHost agent) : IClassFixture<AgentHost>, IAsyncLifetime
{
    // virConnectListAllDomainsFlags, virDomainMetadataType and virDomainModificationImpact of libvirt-domain.h.
    private const uint Active = 1, Live = 1;
    private const int Element = 2;

    private readonly Connection _connection = new(new ClientConnectionOptions(agent.Host.Bus.Address));
    private IAgent1 _agent = null!;
    private ILibvirtConnect _libvirt = null!;

    public async ValueTask InitializeAsync()
    {
        await _connection.ConnectAsync();
        _agent = _connection.CreateProxy<IAgent1>("org.virttier.Agent1", "/org/virttier/Agent1");
        _libvirt = _connection.CreateProxy<ILibvirtConnect>("org.libvirt", "/org/libvirt/QEMU");
    }

    public ValueTask DisposeAsync()
    {
        _connection.Dispose();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task The_agent_lists_the_domains_that_libvirt_runs_through_starts_pauses_and_ends()
    {
        await agent.Host.DefineAsync(new TestDomain("off"));
        await agent.Host.CreateAsync(new TestDomain("one") { MemoryMiB = 96 });
        await agent.Host.CreateAsync(new TestDomain("two"));
        await AgreedAsync("one", "two");
        await agent.Host.VirshAsync("suspend", "one");
        await agent.Host.VirshAsync("start", "off");
        await AgreedAsync("off", "one", "two");
        await agent.Host.VirshAsync("destroy", "two");
        await agent.Host.VirshAsync("destroy", "off");
        await AgreedAsync("one");
        await agent.Host.VirshAsync("destroy", "one");
        await AgreedAsync();
    }

    [Fact]
    public async Task What_the_tool_sets_is_what_libvirt_keeps_and_what_libvirt_is_given_is_what_holds()
    {
        await agent.Host.CreateAsync(new TestDomain("told") { Metadata = "<foreign xmlns='urn:example:other'>kept</foreign>" });
        ILibvirtDomain told = Domain(await _libvirt.DomainLookupByNameAsync("told"));

        await agent.ToolOkAsync("set", "told", "--dram", "24MiB", "--shares", "7");
        XElement kept = XElement.Parse(await told.GetMetadataAsync(Element, TieringSettings.MetadataNamespace, Live));
        Assert.Equal(("24MiB", "7"), ((string?)kept.Attribute("dram"), (string?)kept.Attribute("shares")));
        await HoldsAsync("told", 24 << 20);

        await told.SetMetadataAsync(Element, "<tiering dram='40MiB'/>", "vt", TieringSettings.MetadataNamespace, Live);
        await HoldsAsync("told", 40 << 20);
        Assert.Matches(@"(?m)^dram +40MiB +", await agent.ToolOkAsync("get", "told"));

        await agent.ToolOkAsync("set", "told", "--remove");
        kept = XElement.Parse(await told.GetMetadataAsync(Element, TieringSettings.MetadataNamespace, Live));
        Assert.DoesNotContain(kept.Attributes(), attribute => !attribute.IsNamespaceDeclaration);
        Assert.Equal("kept", XElement.Parse(await told.GetMetadataAsync(Element, "urn:example:other", Live)).Value);
        await agent.Host.VirshAsync("destroy", "told");
    }

    // Asks both until they say the same, and that is what is expected.
    private async Task AgreedAsync(params string[] expected)
    {
        IReadOnlyList<ListedDomain> libvirts = await LibvirtsAsync(), agents = [];
        Assert.Equal(expected, libvirts.Select(d => d.Name));
        await Eventually.IsTrue(
            async () => libvirts.SequenceEqual(agents = await AgentsAsync()),
            () => $"libvirt runs {string.Join(", ", libvirts)}, the agent says {string.Join(", ", agents)}");
        Assert.Equal((uint)libvirts.Count, await _agent.GetAsync<uint>("RunningDomains"));
        Assert.True(await _agent.GetAsync<bool>("LibvirtConnected"));
    }

    private async Task<IReadOnlyList<ListedDomain>> LibvirtsAsync()
    {
        List<ListedDomain> domains = [];
        foreach (ObjectPath path in await _libvirt.ListDomainsAsync(Active))
        {
            ILibvirtDomain domain = Domain(path);
            XElement xml = XElement.Parse(await domain.GetXMLDescAsync(0));
            ulong memory = (ulong)xml.Element("memory")! << 10; // KiB
            domains.Add(new(await domain.GetAsync<string>("UUID"), await domain.GetAsync<string>("Name"), memory));
        }
        return [.. domains.OrderBy(d => d.Name, StringComparer.Ordinal)];
    }

    private async Task<IReadOnlyList<ListedDomain>> AgentsAsync()
    {
        AgentStatus status = AgentStatus.FromJson(await _agent.GetStatusAsync());
        (string Uuid, string Name, string State, string Reason)[] listed = await _agent.ListDomainsAsync();
        ulong MemoryOf(string name) => (ulong)(status.Domains.FirstOrDefault(d => d.Name == name)?.MemoryBytes ?? 0);
        return [.. listed.Select(d => new ListedDomain(d.Uuid, d.Name, MemoryOf(d.Name)))
            .OrderBy(d => d.Name, StringComparer.Ordinal)];
    }

    private async Task HoldsAsync(string domain, long budget)
    {
        string json = "";
        await Eventually.IsTrue(
            async () => (json = await _agent.GetDomainAsync(domain)).Contains(
                $"\"budgetBytes\":{budget},", StringComparison.Ordinal),
            () => json);
    }

    private sealed record ListedDomain(string Uuid, string Name, ulong MemoryBytes);

    private ILibvirtDomain Domain(ObjectPath path) => _connection.CreateProxy<ILibvirtDomain>("org.libvirt", path);
}
