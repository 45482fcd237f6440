// SPDX-License-Identifier: Apache-2.0
using VirtTier.Libvirt.DBus;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>The bus client against a real dbus-daemon.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class SystemBusTests : IAsyncLifetime
{
    private const string Path = "/org/virttier/Test1", Interface = "org.virttier.Test1", Name = "org.virttier.Test1";

    private readonly string _directory = Directory.CreateTempSubdirectory("vt-").FullName;
    private readonly FakeLog _log = new();
    private PrivateBus _daemon = null!;
    private SystemBus _service = null!;
    private SystemBus _client = null!;

    public async ValueTask InitializeAsync()
    {
        HostRing.RequirePrograms("dbus-daemon");
        _daemon = await PrivateBus.StartAsync(_directory);
        _service = new(_log, _daemon.Address);
        _client = new(_log, _daemon.Address);
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _service.DisposeAsync();
        _daemon.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task A_call_reaches_the_exported_object_with_the_callers_uid_and_every_type_intact()
    {
        BusMethodCall? received = null;
        await ExportAsync(call =>
        {
            received = call;
            return Task.FromResult(call.Body);
        });
        object[] values = [(byte)7, true, (short)-2, (ushort)3, -4, 5u, -6L, 7ul, 1.5, "täxt", "/a/b", new byte[] { 1, 2 }];
        BusBody sent = new("ybnqiuxtdsoay", values);
        BusBody answer = await CallAsync("Echo", sent);

        Assert.Equal(values, answer.Values);
        Assert.Equal("Echo", received!.Member);
        Assert.Equal(Interface, received.Interface);
        Assert.Equal(OwnUid(), received.SenderUid);
    }

    [Fact]
    public async Task Nested_values_and_variants_survive_the_way_there_and_back()
    {
        string[] texts = ["x", "y"];
        Dictionary<string, object> properties = new()
        {
            ["Name"] = new Variant("s", "web1"),
            ["Pids"] = new Variant("au", new object[] { 1u, 2u }),
        };
        object[] units = [new object[] { "first", properties }];
        BusBody sent = new("a(sa{sv})as(i(ut))", units, texts, new object[] { -1, new object[] { 2u, 3ul } });
        BusBody? received = null;
        await ExportAsync(call =>
        {
            received = call.Body;
            return Task.FromResult(sent);
        });
        BusBody answer = await CallAsync("Echo", sent);

        foreach (BusBody body in new[] { received!, answer })
        {
            var entry = Assert.IsType<object[]>(Assert.Single(body.Get<object[]>(0)));
            var read = Assert.IsType<Dictionary<string, object>>(entry[1]);
            Assert.Equal("web1", read["Name"]);
            Assert.Equal(new object[] { 1u, 2u }, read["Pids"]);
            Assert.Equal(texts, body.Get<string[]>(1));
            Assert.Equal(new object[] { -1, new object[] { 2u, 3ul } }, body.Get<object[]>(2));
        }
    }

    [Fact]
    public async Task An_error_of_the_service_comes_with_its_name_and_text_and_hurts_nobody_else()
    {
        await ExportAsync(call => call.Member switch
        {
            "Refuse" => throw new BusException("org.virttier.Test1.Refused", "not today"),
            "Break" => throw new InvalidOperationException("broken"),
            "Lie" => Task.FromResult(new BusBody("u", "not a number")),
            _ => throw BusException.ForUnknownMethod(call),
        });

        BusException refused = await Assert.ThrowsAsync<BusException>(() => CallAsync("Refuse", BusBody.Empty));
        Assert.Equal(("org.virttier.Test1.Refused", "not today"), (refused.ErrorName, refused.Message));
        BusException broken = await Assert.ThrowsAsync<BusException>(() => CallAsync("Break", BusBody.Empty));
        Assert.Equal((BusException.Failed, "broken"), (broken.ErrorName, broken.Message));
        BusException lie = await Assert.ThrowsAsync<BusException>(() => CallAsync("Lie", BusBody.Empty));
        Assert.Contains("cannot be sent as D-Bus type 'u'", lie.Message, StringComparison.Ordinal);
        BusException unknown = await Assert.ThrowsAsync<BusException>(() => CallAsync("Nonsense", BusBody.Empty));
        Assert.Equal("org.freedesktop.DBus.Error.UnknownMethod", unknown.ErrorName);
    }

    [Fact]
    public async Task Arguments_that_do_not_fit_their_signature_are_refused_before_they_are_sent() =>
        await Assert.ThrowsAsync<ArgumentException>(() => CallAsync("Echo", new("su", "only one")));

    [Fact]
    public async Task A_service_that_does_not_exist_or_does_not_answer_is_an_error_in_time()
    {
        BusException missing = await Assert.ThrowsAsync<BusException>(() => CallAsync("Echo", BusBody.Empty));
        Assert.Equal(BusException.ServiceUnknown, missing.ErrorName);

        await ExportAsync(_ => new TaskCompletionSource<BusBody>().Task);
        BusException silent = await Assert.ThrowsAsync<BusException>(
            () => CallAsync("Echo", BusBody.Empty, TimeSpan.FromMilliseconds(200)));
        Assert.Equal(BusException.NoReply, silent.ErrorName);

        using CancellationTokenSource cancel = new(TimeSpan.FromMilliseconds(100));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => CallAsync("Echo", BusBody.Empty, cancel: cancel.Token));
    }

    [Fact]
    public async Task Subscriptions_exports_and_names_come_back_with_the_bus()
    {
        await ExportAsync(call => Task.FromResult(call.Body));
        int signals = 0;
        using IDisposable subscription = _client.Subscribe(
            $"type='signal',sender='{Name}',member='Tick'", signal => Interlocked.Add(ref signals, signal.Body.Get<int>(0)));
        await CallAsync("Echo", BusBody.Empty);
        _service.Emit(new("", Path, Interface, "Tick", new("i", 1)));
        await Eventually.IsTrue(() => signals == 1, () => $"{signals}");

        await _daemon.Daemon.EndAsync(Daemon.SigKill);
        await Eventually.IsTrue(
            () => !_client.State.Connected && !_service.State.Connected, () => "still connected");
        BusException gone = await Assert.ThrowsAsync<BusException>(() => _client.CallAsync(
            new(Name, Path, Interface, "Echo", BusBody.Empty, Eventually.Limit), TestContext.Current.CancellationToken));
        Assert.Equal(BusException.Disconnected, gone.ErrorName);
        await _daemon.StartDaemonAsync();
        await UntilOwnedAsync();
        await CallAsync("Echo", BusBody.Empty);
        _service.Emit(new("", Path, Interface, "Tick", new("i", 10)));
        await Eventually.IsTrue(() => signals == 11, () => $"{signals}");
    }

    [Fact]
    public async Task A_disposed_subscription_hears_nothing()
    {
        await ExportAsync(call => Task.FromResult(call.Body));
        int first = 0, second = 0;
        IDisposable subscription = _client.Subscribe($"type='signal',sender='{Name}'", _ => Interlocked.Increment(ref first));
        _client.Subscribe($"type='signal',sender='{Name}'", _ => Interlocked.Increment(ref second));
        await CallAsync("Echo", BusBody.Empty);
        subscription.Dispose();
        await CallAsync("Echo", BusBody.Empty);
        _service.Emit(new("", Path, Interface, "Tick", BusBody.Empty));
        await Eventually.IsTrue(() => second == 1, () => $"{second}");
        Assert.Equal(0, first);
    }

    [Fact]
    public async Task A_failing_signal_handler_is_logged_and_the_next_signal_delivered()
    {
        await ExportAsync(call => Task.FromResult(call.Body));
        int calls = 0;
        _client.Subscribe($"type='signal',sender='{Name}'", _ =>
        {
            if (Interlocked.Increment(ref calls) == 1)
                throw new InvalidOperationException("handler broke");
        });
        await CallAsync("Echo", BusBody.Empty);
        _service.Emit(new("", Path, Interface, "Tick", BusBody.Empty));
        _service.Emit(new("", Path, Interface, "Tick", BusBody.Empty));
        await Eventually.IsTrue(() => calls == 2, () => $"{calls}");
        Assert.Contains(_log.Lines, line => line.Contains("handler broke", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_the_bus_would_not_take_is_refused_before_it_costs_the_connection()
    {
        await ExportAsync(call => Task.FromResult(call.Body));
        BusBody echo = new("s", "x");
        string unique = (string)(await CallAsync("Echo", echo)).Values[0];
        (string What, Func<Task> Act)[] malformed =
        [
            ("NUL", () => CallAsync("Echo", new("s", "a\0b"))),
            ("half a character", () => CallAsync("Echo", new("s", "a\ud800b"))),
            ("path in a body", () => CallAsync("Echo", new("o", "/a//b"))),
            ("signature", () => CallAsync("Echo", new("g", "nonsense"))),
            ("signature of known characters", () => CallAsync("Echo", new("g", "a{vs}"))),
            ("signature of the body", () => CallAsync("Echo", new("az", (object)Array.Empty<object>()))),
            ("signature in a variant", () => CallAsync("Echo", new("v", new Variant("a()", Array.Empty<object>())))),
            ("in a variant",
                () => CallAsync("Echo", new("a{sv}", new Dictionary<string, object> { ["a"] = new Variant("s", "\0") }))),
            ("two values in a variant", () => CallAsync("Echo", new("v", new Variant("ss", "a")))),
            ("path", () => _client.CallAsync(new(Name, "no/path", Interface, "Echo", echo, Eventually.Limit))),
            ("destination", () => _client.CallAsync(new("a b", Path, Interface, "Echo", echo, Eventually.Limit))),
            ("interface", () => _client.CallAsync(new(Name, Path, "one", "Echo", echo, Eventually.Limit))),
            ("member", () => CallAsync("a.b", echo)),
            ("too large", () => CallAsync("Echo", new("ay", new byte[33 << 20]))),
            ("too large with its header", () => CallAsync("Echo", new("ay", new byte[32 << 20]))),
            ("too large in UTF-8", () => CallAsync("Echo", new("s", new string('ж', 17 << 20)))),
        ];
        foreach ((string what, Func<Task> act) in malformed)
            Assert.True(await Record.ExceptionAsync(act) is ArgumentException, what);
        Assert.Throws<ArgumentException>(() => _service.Emit(new("", Path, Interface, "no signal", BusBody.Empty)));
        Assert.Equal("x", unique);
        Assert.Equal("y", (await CallAsync("Echo", new("s", "y"))).Get<string>(0));
        Assert.DoesNotContain(_log.Lines, line => line.Contains("not reachable", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_message_of_more_values_than_anybody_sends_is_refused_and_the_next_one_read()
    {
        await ExportAsync(_ => Task.FromResult(BusBody.Empty));
        object[] many = [.. Enumerable.Repeat<object>((short)1, (1 << 20) + 1)];
        BusException refused = await Assert.ThrowsAsync<BusException>(() => CallAsync("Take", new("an", (object)many)));
        Assert.Equal(BusException.InvalidSignature, refused.ErrorName);
        await CallAsync("Take", BusBody.Empty);
    }

    [Fact]
    public async Task A_handler_that_fails_on_something_disposed_is_told_to_its_caller()
    {
        await ExportAsync(_ => throw new ObjectDisposedException("hook"));
        BusException broken = await Assert.ThrowsAsync<BusException>(() => CallAsync("Break", BusBody.Empty));
        Assert.Equal(BusException.Failed, broken.ErrorName);
    }

    [Fact]
    public async Task An_error_of_a_name_that_is_none_comes_as_a_failure()
    {
        await ExportAsync(_ => throw new BusException("no name", "broken"));
        BusException broken = await Assert.ThrowsAsync<BusException>(() => CallAsync("Break", BusBody.Empty));
        Assert.Equal((BusException.Failed, "broken"), (broken.ErrorName, broken.Message));
        await Assert.ThrowsAsync<BusException>(() => CallAsync("Break", BusBody.Empty));
    }

    [Fact]
    public async Task An_error_with_a_text_that_cannot_be_sent_comes_all_the_same()
    {
        await ExportAsync(_ => throw new InvalidOperationException("bro\0ken"));
        BusException broken = await Assert.ThrowsAsync<BusException>(() => CallAsync("Break", BusBody.Empty));
        Assert.Equal(@"bro\u0000ken", broken.Message);
    }

    [Fact]
    public async Task Who_blocks_after_a_call_holds_up_nobody()
    {
        await ExportAsync(call => Task.FromResult(call.Body));
        using ManualResetEventSlim release = new();
        Task blocked = Task.Run(async () =>
        {
            await CallAsync("Echo", BusBody.Empty);
            release.Wait(TestContext.Current.CancellationToken);
        }, TestContext.Current.CancellationToken);
        for (int i = 0; i < 20; i++)
            Assert.Equal(i, (await CallAsync("Echo", new("i", i))).Get<int>(0));
        Assert.False(blocked.IsCompleted);
        release.Set();
        await blocked;
    }

    [Fact]
    public async Task Calls_see_the_signals_that_were_sent_before_their_answer()
    {
        int ticks = 0;
        await ExportAsync(call =>
        {
            _service.Emit(new("", Path, Interface, "Tick", BusBody.Empty));
            return Task.FromResult(call.Body);
        });
        _client.Subscribe($"type='signal',sender='{Name}',member='Tick'", _ => Interlocked.Increment(ref ticks));
        for (int i = 1; i <= 200; i++)
        {
            await CallAsync("Echo", BusBody.Empty);
            Assert.Equal(i, Volatile.Read(ref ticks));
        }
    }

    [Fact]
    public async Task A_path_namespace_covers_what_is_below_it_and_no_more()
    {
        await ExportAsync(call => Task.FromResult(call.Body));
        List<string> heard = [];
        _client.Subscribe($"type='signal',sender='{Name}',path_namespace='/org/lab'", signal => heard.Add(signal.Path));
        bool done = false;
        _client.Subscribe($"type='signal',sender='{Name}',member='Done'", _ => Volatile.Write(ref done, true));
        await CallAsync("Echo", BusBody.Empty);
        foreach (string path in new[] { "/org/lab", "/org/lab/a/b", "/org/labx", "/org" })
            _service.Emit(new("", path, Interface, "Tick", BusBody.Empty));
        _service.Emit(new("", "/other", Interface, "Done", BusBody.Empty));
        await Eventually.IsTrue(() => Volatile.Read(ref done), () => string.Join(' ', heard));
        Assert.Equal(["/org/lab", "/org/lab/a/b"], heard);
    }

    [Fact]
    public async Task A_bus_that_hangs_at_the_connection_is_given_up_and_a_call_says_so_in_time()
    {
        _daemon.Daemon.Signal(Daemon.SigStop);
        try
        {
            await using SystemBus late = new(_log, _daemon.Address);
            BusException silent = await Assert.ThrowsAsync<BusException>(() => late.CallAsync(
                new(Name, Path, Interface, "Echo", BusBody.Empty, TimeSpan.FromMilliseconds(200)),
                TestContext.Current.CancellationToken));
            Assert.Equal(BusException.NoReply, silent.ErrorName);
        }
        finally
        {
            _daemon.Daemon.Signal(Daemon.SigCont);
        }
    }

    [Theory]
    [InlineData("unix:path=/no/such/socket")]
    [InlineData("nonsense")]
    public async Task An_address_that_nobody_listens_at_is_an_error_at_once(string address)
    {
        await using SystemBus lost = new(_log, address);
        BusException gone = await Assert.ThrowsAsync<BusException>(() => lost.CallAsync(
            new(Name, Path, Interface, "Echo", BusBody.Empty, Eventually.Limit), TestContext.Current.CancellationToken));
        Assert.Equal(BusException.Disconnected, gone.ErrorName);
        Assert.Contains(address, gone.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Disposing_fails_the_calls_under_way()
    {
        await ExportAsync(_ => new TaskCompletionSource<BusBody>().Task);
        Task<BusBody> call = CallAsync("Echo", BusBody.Empty);
        await Task.Delay(100, TestContext.Current.CancellationToken);
        await _client.DisposeAsync();
        await Assert.ThrowsAsync<BusException>(() => call);
        await Assert.ThrowsAsync<BusException>(() => _client.CallAsync(
            new(Name, Path, Interface, "Echo", BusBody.Empty, Eventually.Limit), TestContext.Current.CancellationToken));
    }

    private static uint OwnUid() => uint.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("Uid:", StringComparison.Ordinal)).Split('\t')[2],
        System.Globalization.CultureInfo.InvariantCulture);

    private async Task ExportAsync(Func<BusMethodCall, Task<BusBody>> handler)
    {
        _service.Export(Path, "<node/>", handler);
        _service.OwnName(Name);
        await UntilOwnedAsync();
    }

    private async Task UntilOwnedAsync()
    {
        while (true)
        {
            await Eventually.IsTrue(() => _service.State.Connected && _client.State.Connected,
                () => string.Join('\n', _log.Lines));
            BusBody answer = await _client.CallAsync(new("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "NameHasOwner",
                new("s", Name), Eventually.Limit), TestContext.Current.CancellationToken);
            if (answer.Get<bool>(0))
                return;
        }
    }

    private async Task<BusBody> CallAsync(
        string member, BusBody body, TimeSpan? timeout = null, CancellationToken? cancel = null)
    {
        await Eventually.IsTrue(() => _client.State.Connected, () => string.Join('\n', _log.Lines));
        return await _client.CallAsync(
            new(Name, Path, Interface, member, body, timeout ?? Eventually.Limit),
            cancel ?? TestContext.Current.CancellationToken);
    }
}
