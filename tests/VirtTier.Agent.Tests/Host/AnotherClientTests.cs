// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;
using Tmds.DBus;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Tests.Host;

/// <summary>What <c>docs/dbus.md</c> promises, read by a client that nobody here wrote.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class AnotherClientTests : AgentOnBus
{
    private Connection _connection = null!;
    private IAgent1 _agent = null!;

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        _connection = new Connection(new ClientConnectionOptions(Address));
        await _connection.ConnectAsync();
        _agent = Proxy<IAgent1>();
    }

    public override async ValueTask DisposeAsync()
    {
        _connection?.Dispose();
        await base.DisposeAsync();
    }

    [Fact]
    public async Task Introspection_the_documentation_and_the_typed_client_know_the_same_members()
    {
        XElement node = XElement.Parse(await Proxy<IIntrospectable>().IntrospectAsync());
        XElement agent = Assert.Single(node.Elements("interface"), i => (string?)i.Attribute("name") == "org.virttier.Agent1");
        string[] methods = [.. agent.Elements("method").Select(m => (string)m.Attribute("name")!).Order()];
        string[] properties = [.. agent.Elements("property").Select(p => (string)p.Attribute("name")!).Order()];

        IEnumerable<string> typed = typeof(IAgent1).GetMethods().Select(m => m.Name[..^"Async".Length]);
        Assert.Equal(typed.Except(["Get", "GetAll"]).Order(), methods);
        Assert.Equal(["HookCalls", "LibvirtConnected", "RunningDomains", "Version"], properties);
        string documentation = await File.ReadAllTextAsync(
            Path.Combine(Repository.Root, "docs", "dbus.md"), TestContext.Current.CancellationToken);
        Assert.All(methods, name => Assert.Contains($"`{name}(", documentation, StringComparison.Ordinal));
        Assert.All(properties, name => Assert.Contains($"`{name}`", documentation, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Domains_are_listed_and_found_by_name_and_by_uuid()
    {
        DomainStatus web1 = Status.Domains[0];
        DomainStatus lost = web1 with
        {
            Name = "löst",
            Uuid = Guid.NewGuid(),
            State = TieringState.Attaching,
            Reason = "no module",
        };
        Status = Status with { Domains = [web1, lost] };

        Assert.Equal(
            [(web1.Uuid.ToString(), "web1", "tiering", ""), (lost.Uuid.ToString(), "löst", "waiting", "no module")],
            await _agent.ListDomainsAsync());
        Assert.Equal(web1.ToJson(), await _agent.GetDomainAsync("web1"));
        Assert.Equal(lost.ToJson(), await _agent.GetDomainAsync("löst"));
        Assert.Equal(lost.ToJson(), await _agent.GetDomainAsync(lost.Uuid.ToString()));

        Status = Status with { Domains = [] };
        Assert.Empty(await _agent.ListDomainsAsync());
    }

    [Fact]
    public async Task The_status_and_a_curve_come_whole()
    {
        Curve = new DramCurve([(256, 3.0), (768, 1.0)], error: 0.01);

        string[] many = [.. Enumerable.Range(0, 500).Select(i => $"web{i + 1}")];
        Status = Metrics.SampleStatus.Of(many);
        Assert.Equal(Counted(Status), await _agent.GetStatusAsync());
        Assert.Equal(DomainCurve.Of(Status.Domains[0], Curve).ToJson(), await _agent.GetCurveAsync("web1"));
    }

    [Fact]
    public async Task What_is_recorded_of_a_domain_comes_whole_and_what_is_not_is_refused_by_its_name()
    {
        Status = Status with { Domains = [Status.Domains[0] with { Pid = Fakes.SamplePictures.Process.Pid }] };
        DBusException e = await Assert.ThrowsAsync<DBusException>(() => _agent.GetHeatAsync("web1", 60));
        Assert.Equal("org.virttier.Agent1.Error.NoHeat", e.ErrorName);
        Assert.Contains("web1", e.ErrorMessage, StringComparison.Ordinal);
        e = await Assert.ThrowsAsync<DBusException>(() => _agent.GetDetailAsync("web2"));
        Assert.Equal("org.virttier.Agent1.Error.NoSuchDomain", e.ErrorName);

        Pictures.Harvest(800, second => second / 100);
        Pictures.Rounds(new DramCurve([(1024, 3.0), (3072, 0.01)], error: 0.01), TimeSpan.FromHours(1));
        DomainHeat heat = DomainHeat.FromJson(await _agent.GetHeatAsync("web1", 800));
        Assert.Equal((8, 160, 5), (heat.Addresses.Count, heat.Columns, heat.ColumnSeconds));
        Assert.Equal(Pictures.Shown.Heat(Status.Domains[0], TimeSpan.FromSeconds(800))!.ToJson(), heat.ToJson());
        Assert.Equal(Pictures.Shown.Detail(Status.Domains[0], null).ToJson(), await _agent.GetDetailAsync("web1"));
        HostEstimate estimate = HostEstimate.FromJson(await _agent.GetEstimateAsync());
        Assert.Equal(3600, estimate.Domains[0].ObservedSeconds);
        Assert.NotNull(estimate.Domains[0].OnePercent);
        Assert.NotEmpty((await _agent.GetHeatAsync("web1", uint.MaxValue)));
    }

    [Fact]
    public async Task Properties_have_the_types_that_they_are_said_to_have()
    {
        await _agent.NotifyAsync("web1", "started", "/nonexistent");

        Assert.Equal(
            new Dictionary<string, object>
            {
                ["Version"] = "1.2.3",
                ["LibvirtConnected"] = true,
                ["RunningDomains"] = 1u,
                ["HookCalls"] = 1UL,
            },
            await _agent.GetAllAsync());
        Assert.Equal("1.2.3", await _agent.GetAsync<string>("Version"));
        Assert.True(await _agent.GetAsync<bool>("LibvirtConnected"));
        Assert.Equal(1u, await _agent.GetAsync<uint>("RunningDomains"));
        Assert.Equal(1UL, await _agent.GetAsync<ulong>("HookCalls"));
    }

    [Fact]
    public async Task The_hook_is_heard_and_told_why_a_domain_may_not_start()
    {
        string file = Path.Combine(Folder, "greedy.xml");
        TestDomain greedy = new("greedy") { Metadata = TestDomain.MetadataOf("min='1MiB'") };
        await File.WriteAllTextAsync(file, greedy.ToXml(), TestContext.Current.CancellationToken);

        string refusal = await _agent.AdmitAsync("greedy", file);
        Assert.StartsWith("virttier: its min of 1 MiB of DRAM cannot be met", refusal, StringComparison.Ordinal);
        Assert.Equal("", await _agent.AdmitAsync("modest", "/nonexistent"));
        await _agent.NotifyAsync("greedy", "release", file);
        Assert.Equal(3, Hook.Calls);
    }

    [Fact]
    public async Task A_reload_is_made_or_says_where_the_configuration_is_wrong()
    {
        await _agent.ReloadAsync();
        Assert.Equal(1, Reloads);

        ReloadError = new ConfigException("v.yaml:2:3: unknown key 'intervall'");
        await RefusedAsync("org.virttier.Agent1.Error.BadConfiguration", ReloadError.Message, _agent.ReloadAsync);
        Assert.Equal(2, Reloads);
    }

    [Fact]
    public async Task Errors_have_the_names_that_are_documented_and_name_what_was_asked_for()
    {
        IWrongAgent1 wrong = Proxy<IWrongAgent1>();
        const string noDomain = "org.virttier.Agent1.Error.NoSuchDomain", noCurve = "org.virttier.Agent1.Error.NoCurve";
        await RefusedAsync(noDomain, "no running domain has the name or UUID 'web9'", () => _agent.GetDomainAsync("web9"));
        await RefusedAsync(noDomain, "no running domain has the name or UUID 'web9'", () => _agent.GetCurveAsync("web9"));
        await RefusedAsync(noCurve, "too little is known of web1 yet", () => _agent.GetCurveAsync("web1"));

        const string standard = "org.freedesktop.DBus.Error.";
        await RefusedAsync(standard + "UnknownProperty", "has no property Colour", () => _agent.GetAsync<string>("Colour"));
        await RefusedAsync(standard + "UnknownMethod", "there is no method Reboot", wrong.RebootAsync);
        await RefusedAsync(standard + "InvalidSignature", "argument 0 of 'i'", () => wrong.GetDomainAsync(7));
        await RefusedAsync(standard + "InvalidSignature", "argument 0 of ''", wrong.GetCurveAsync);

        // None of them has cost anybody the connection.
        Assert.Equal(Counted(Status), await _agent.GetStatusAsync());
    }

    [Fact]
    public async Task Many_calls_at_once_each_get_their_own_answer()
    {
        Status = Metrics.SampleStatus.Of([.. Enumerable.Range(0, 100).Select(i => $"web{i}")]);

        string[] answers = await Task.WhenAll(Status.Domains.Select(d => _agent.GetDomainAsync(d.Name)));

        Assert.Equal(Status.Domains.Select(d => d.ToJson()), answers);
    }

    // The agent's object adds what it counts itself.
    private string Counted(AgentStatus status) =>
        (status with { Libvirt = status.Libvirt with { HookCalls = Hook.Calls } }).ToJson();

    private T Proxy<T>() => _connection.CreateProxy<T>("org.virttier.Agent1", "/org/virttier/Agent1");

    private static async Task RefusedAsync(string name, string message, Func<Task> call)
    {
        DBusException e = await Assert.ThrowsAsync<DBusException>(call);
        Assert.Equal(name, e.ErrorName);
        Assert.Contains(message, e.ErrorMessage, StringComparison.Ordinal);
    }
}
