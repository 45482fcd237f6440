// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging.Abstractions;
using Spectre.Console;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Tests;

public sealed class AgentObjectTests : IAsyncDisposable
{
    private readonly FakeBus _bus = new();
    private readonly SamplePictures _pictures = new();
    private readonly HookListener _hook;
    private readonly AgentObject _object;
    private DramCurve? _curve = new([(256, 3.0), (768, 1.0)], error: 0.01);
    private AgentStatus _status;
    private Exception? _reloadError;
    private int _reloads;
    private int _woken;

    public AgentObjectTests()
    {
        DomainStatus web1 =
            Domains.Running("8MiB").Orders(2048).Status(DomainFigures.None) with { State = TieringState.Tiering, Reason = null };
        _status = new("1.2.3", 5, new LibvirtStatus(true, null), [], 1 << 20, [web1]);
        AdmissionControl admission = new(
            () => new PoolPromises(1L << 30, new Dictionary<DomainKey, long>(), new AgentConfig()), TimeProvider.System);
        _hook = new HookListener(admission, () => Interlocked.Increment(ref _woken), TimeProvider.System, NullLogger.Instance);
        _object = new AgentObject(
            _bus, () => _status, domain => domain == web1.Key ? _curve : null, _pictures.Shown, _hook, () =>
            {
                _reloads++;
                return _reloadError is null ? Task.CompletedTask : Task.FromException(_reloadError);
            });
    }

    public ValueTask DisposeAsync()
    {
        _object.Dispose();
        _hook.Dispose();
        return _bus.DisposeAsync();
    }

    [Fact]
    public async Task The_tool_gets_the_status_of_the_agent()
    {
        AgentStatus status = await new AgentClient(_bus).GetStatusAsync(TestContext.Current.CancellationToken);

        Assert.Equal("org.virttier.Agent1", _bus.Name);
        Assert.Equal("1.2.3", status.Version);
    }

    [Fact]
    public async Task The_hook_wakes_the_agent_and_is_counted()
    {
        await _bus.CallAsync(0, "Notify", "web1", "started", "/nonexistent");

        AgentStatus status = await new AgentClient(_bus).GetStatusAsync(TestContext.Current.CancellationToken);
        Assert.Equal(1, status.Libvirt.HookCalls);
        await Eventually.IsTrue(() => Volatile.Read(ref _woken) == 1);
    }

    [Fact]
    public async Task A_burst_of_messages_is_one_look_at_libvirt_and_the_next_is_another()
    {
        const int Messages = 20;
        for (int i = 0; i < Messages; i++)
            await _bus.CallAsync(0, "Notify", "web1", "started", "/nonexistent");
        await Eventually.IsTrue(() => Volatile.Read(ref _woken) > 0);
        await Task.Delay(300, TestContext.Current.CancellationToken);
        Assert.InRange(Volatile.Read(ref _woken), 1, Messages / 2); // one, unless the machine stood still in between

        int woken = Volatile.Read(ref _woken);
        await _bus.CallAsync(0, "Notify", "web1", "stopped", "/nonexistent");
        await Eventually.IsTrue(() => Volatile.Read(ref _woken) > woken);
    }

    [Theory]
    [InlineData("Notify", "web1", "started", "/nonexistent")]
    [InlineData("Admit", "web1", "/nonexistent")]
    [InlineData("Reload")]
    public async Task Only_root_may_change_anything(string member, params string[] arguments)
    {
        BusException e = await Assert.ThrowsAsync<BusException>(() => _bus.CallAsync(1000, member, [.. arguments]));

        Assert.Equal(BusException.AccessDenied, e.ErrorName);
        Assert.Equal((0L, 0), (_hook.Calls, _reloads));
    }

    [Fact]
    public async Task Domains_are_listed_and_found_by_name_and_uuid()
    {
        Guid uuid = Domains.Running().Uuid;
        object[] row = [uuid.ToString(), "web1", "tiering", ""];
        Assert.Equal(row, Assert.Single((await _bus.CallAsync(1000, "ListDomains")).Get<object[]>(0)));

        string byName = (await _bus.CallAsync(1000, "GetDomain", "web1")).Get<string>(0);
        Assert.Contains("\"budgetBytes\":8388608", byName, StringComparison.Ordinal);
        Assert.Equal(byName, (await _bus.CallAsync(1000, "GetDomain", uuid.ToString())).Get<string>(0));
        BusException e = await Assert.ThrowsAsync<BusException>(() => _bus.CallAsync(1000, "GetDomain", "web9"));
        Assert.Equal("org.virttier.Agent1.Error.NoSuchDomain", e.ErrorName);
    }

    [Theory]
    [InlineData("web1", null)]
    [InlineData("{uuid}", null)]
    [InlineData("kubevirt:prod_web1", null)]
    [InlineData("libvirt:web1", 1)]
    [InlineData("kubevirt:a/prod_web1", 2)]
    [InlineData("kubevirt:b/prod_web1", 3)]
    [InlineData("pid:103", 3)]
    [InlineData("kubevirt:a/web1", 4)]
    public async Task Of_domains_with_one_name_or_uuid_each_can_be_named_and_none_is_guessed(string text, int? pid)
    {
        DomainStatus web1 = _status.Domains[0] with { Pid = 101 };
        DomainStatus Pod(string id, string name, int pid) => web1 with { Source = "kubevirt", Id = id, Name = name, Pid = pid };
        _status = _status with
        {
            Domains =
            [
                web1, Pod("a/prod_web1", "prod_web1", 102), Pod("b/prod_web1", "prod_web1", 103), Pod("a/web1", "web1", 104),
            ],
        };
        Task<BusBody> asked = _bus.CallAsync(
            1000, "GetDomain", text.Replace("{uuid}", web1.Uuid.ToString(), StringComparison.Ordinal));
        if (pid is { } number)
            Assert.Contains($"\"pid\":{100 + number}", (await asked).Get<string>(0), StringComparison.Ordinal);
        else
        {
            BusException e = await Assert.ThrowsAsync<BusException>(() => asked);
            Assert.Equal("org.virttier.Agent1.Error.AmbiguousDomain", e.ErrorName);
            Assert.Contains(text.StartsWith("kubevirt", StringComparison.Ordinal)
                ? "say which: kubevirt:a/prod_web1 (or pid:102), kubevirt:b/prod_web1 (or pid:103)"
                : "say which: libvirt:web1 (or pid:101), kubevirt:", e.Message, StringComparison.Ordinal);
            NotKnownException told = await Assert.ThrowsAsync<NotKnownException>(
                () => new AgentClient(_bus).GetDetailAsync(web1.Name, TestContext.Current.CancellationToken));
            Assert.Contains("say which: libvirt:web1 ", told.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task The_tool_gets_the_curve_of_a_domain_with_its_error_and_draws_it()
    {
        AgentClient client = new(_bus);
        DomainCurve curve = await client.GetCurveAsync("web1", TestContext.Current.CancellationToken);

        Assert.Equal([new(0, 1), new(1 << 20, 0.5), new(4 << 20, 0)], curve.Points);
        Assert.Equal((0.01, 1536.0, 8L << 20), (curve.Error, curve.AccessesPerSecond, curve.BudgetBytes));
        Assert.Equal(0.25, curve.SlowShare(5 << 19), 6);
        using StringWriter text = new();
        IAnsiConsole console =
            AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(text), Ansi = AnsiSupport.No });
        console.Profile.Width = 120;
        console.Write(CurveChart.Render(curve));
        Assert.Contains("off by 1.0 % on average", text.ToString(), StringComparison.Ordinal);
        Assert.Matches(@"1 MiB +50\.0 % +█{25}░{25}", text.ToString());
        Assert.Matches(@"4 MiB +0\.0 % +░{50} budget", text.ToString());
    }

    [Fact]
    public async Task No_curve_is_said_with_the_reason()
    {
        AgentClient client = new(_bus);
        NotKnownException e = await Assert.ThrowsAsync<NotKnownException>(
            () => client.GetCurveAsync("web9", TestContext.Current.CancellationToken));
        Assert.Contains("'web9'", e.Message, StringComparison.Ordinal);

        _curve = null;
        e = await Assert.ThrowsAsync<NotKnownException>(
            () => client.GetCurveAsync("web1", TestContext.Current.CancellationToken));
        Assert.StartsWith("too little is known of web1 yet", e.Message, StringComparison.Ordinal);
        _curve = new DramCurve([], error: 1);
        Assert.Null((await client.GetCurveAsync("web1", TestContext.Current.CancellationToken)).Error);
    }

    [Fact]
    public async Task Properties_are_there_one_by_one_and_all_at_once()
    {
        BusBody all = await _bus.CallInterfaceAsync("org.freedesktop.DBus.Properties", "GetAll", "org.virttier.Agent1");
        BusBody one = await _bus.CallInterfaceAsync(
            "org.freedesktop.DBus.Properties", "Get", "org.virttier.Agent1", "RunningDomains");

        Assert.Equal(["HookCalls", "LibvirtConnected", "RunningDomains", "Version"],
            all.Get<Dictionary<string, object>>(0).Keys.Order());
        Assert.Equal(new Variant("u", 1u), one.Values[0]);
        await Assert.ThrowsAsync<BusException>(
            () => _bus.CallInterfaceAsync("org.freedesktop.DBus.Properties", "Get", "org.virttier.Agent1", "Colour"));
    }

    [Fact]
    public async Task A_reload_that_fails_says_why_by_name()
    {
        await new AgentClient(_bus).ReloadAsync(TestContext.Current.CancellationToken);
        Assert.Equal(1, _reloads);

        _reloadError = new ConfigException("v.yaml:2:3: unknown key 'intervall'");
        BusException raw = await Assert.ThrowsAsync<BusException>(() => _bus.CallAsync(0, "Reload"));
        ConfigException told = await Assert.ThrowsAsync<ConfigException>(
            () => new AgentClient(_bus).ReloadAsync(TestContext.Current.CancellationToken));

        Assert.Equal("org.virttier.Agent1.Error.BadConfiguration", raw.ErrorName);
        Assert.Equal("v.yaml:2:3: unknown key 'intervall'", told.Message);
    }

    [Fact]
    public async Task An_unknown_method_is_refused_by_name()
    {
        BusException e = await Assert.ThrowsAsync<BusException>(() => _bus.CallAsync(0, "Reboot"));

        Assert.Contains("Reboot", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"Domains\": 3}")]
    [InlineData("{\"version\": {}}")]
    [InlineData("{}")]
    [InlineData("{\"version\": \"1\", \"libvirt\": {\"connected\": true}, \"tiers\": [], \"name\": \"a\", \"nodes\": []}")]
    [InlineData("{\"domains\": null, \"tiers\": [], \"version\": \"1\", \"libvirt\": null, \"name\": null}")]
    [InlineData("no JSON")]
    public async Task An_answer_that_makes_no_sense_is_another_versions(string answer)
    {
        CancellationToken cancel = TestContext.Current.CancellationToken;
        _bus.Answer = _ => new BusBody("s", answer);
        AgentClient client = new(_bus);
        foreach (Func<Task> ask in (Func<Task>[])[() => client.GetStatusAsync(cancel), () => client.GetEstimateAsync(cancel),
            () => client.GetDetailAsync("web1", cancel), () => client.GetHeatAsync("web1", TimeSpan.FromMinutes(1), cancel),
            () => client.GetCurveAsync("web1", cancel)])
        {
            AgentUnreachableException e = await Assert.ThrowsAsync<AgentUnreachableException>(ask);
            Assert.StartsWith("the agent's answer cannot be read: is it of another version", e.Message, StringComparison.Ordinal);
            Assert.InRange(e.Message.Length, 1, 400);
        }

        _bus.Answer = _ => new BusBody("u", 3u);
        await Assert.ThrowsAsync<AgentUnreachableException>(() => client.GetStatusAsync(cancel));
    }

    [Theory]
    [InlineData(BusException.ServiceUnknown, "systemctl start virttier")]
    [InlineData(BusException.AccessDenied, "group libvirt")]
    [InlineData(BusException.NoReply, "journalctl -u virttier")]
    public async Task An_agent_that_does_not_answer_is_explained_with_what_to_do(string error, string remedy)
    {
        _bus.CallError = new BusException(error, "no");

        AgentUnreachableException e = await Assert.ThrowsAsync<AgentUnreachableException>(
            () => new AgentClient(_bus).GetStatusAsync(TestContext.Current.CancellationToken));

        Assert.Contains(remedy, e.Message, StringComparison.Ordinal);
    }
}
