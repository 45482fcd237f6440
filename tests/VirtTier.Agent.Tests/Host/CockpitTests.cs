// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Metrics;
using VirtTier.Libvirt.DBus;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Tiering.Value;
using SamplePictures = VirtTier.Agent.Tests.Fakes.SamplePictures;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// The page in Debian's own Cockpit, in a browser, on a host with a real libvirt. The agent's answers are made up, for nothing
/// samples here; what the page changes is not.
/// </summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class CockpitTests : IAsyncLifetime
{
    private static readonly string s_sources = Path.Combine(Repository.Root, "src", "cockpit-virttier");

    private readonly TestDomain _web1 = new("web1");
    private readonly SamplePictures _pictures = new();
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vt-cockpit-");
    private PrivateHost _host = null!;
    private SystemBus _bus = null!;
    private HookListener _hook = null!;
    private AgentObject _agent = null!;

    public async ValueTask InitializeAsync()
    {
        HostRing.RequirePrograms("cockpit-bridge", "chromium", "node", "setpriv");
        _host = await PrivateHost.StartAsync("cockpit");
        await _host.CreateAsync(_web1);
        _folder.UnixFileMode = (UnixFileMode)0b111_101_101;
        await RunAsync([Path.Combine(s_sources, "build"), Path.Combine(_folder.FullName, "cockpit")], _ => { });

        AgentStatus status = SampleStatus.Of("web1");
        status = status with
        {
            Domains =
            [
                status.Domains[0] with
                {
                    Uuid = _web1.Uuid,
                    Pid = SamplePictures.Process.Pid,
                    MemoryBytes = 64 << 20,
                    BudgetBytes = 16 << 20,
                    FastBytes = 15 << 20,
                    SlowBytes = 45 << 20,
                    HotBytes = 8 << 20,
                    HotFastBytes = 7 << 20,
                },
            ],
        };
        DramCurve curve = new([(4096, 9.0), (12288, 0.01)], error: 0.01);
        _pictures.Harvest(320, second => second / 40);
        _pictures.Rounds(curve, TimeSpan.FromHours(1));
        PoolPromises nothingLeft = new(0, new Dictionary<DomainKey, long>(), new AgentConfig());
        AdmissionControl admission = new(() => nothingLeft, TimeProvider.System);
        _hook = new HookListener(admission, () => { }, TimeProvider.System, NullLogger.Instance);
        _bus = new SystemBus(NullLogger.Instance, _host.Bus.Address);
        _agent = new AgentObject(_bus, () => status, _ => curve, _pictures.Shown, _hook, () => Task.CompletedTask);
    }

    public async ValueTask DisposeAsync()
    {
        _agent?.Dispose();
        _hook?.Dispose();
        if (_bus is not null)
            await _bus.DisposeAsync();
        if (_host is not null)
            await _host.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_budget_that_is_dragged_and_confirmed_is_in_the_metadata_by_the_time_the_page_says_so()
    {
        TimeSpan byHand = await SetByHandAsync("20MiB");
        Task<TimeSpan>? shown = null;
        Task<bool>? wasShown = null;
        await VisitAsync("set", line =>
        {
            if (line == "confirmed")
                shown = UntilShownAsync("32MiB");
            else if (line == "told")
                wasShown = ShowsAsync("32MiB");
        });

        Assert.True(await wasShown!, "the page says that it is set, and virsh shows something else");
        TimeSpan took = await shown!;
        TimeSpan again = await SetByHandAsync("24MiB");
        string told = string.Create(CultureInfo.InvariantCulture,
            $"virsh shows a confirmed budget after {took.TotalMilliseconds:0} ms, "
                + $"one set by hand after {byHand.TotalMilliseconds:0} and {again.TotalMilliseconds:0} ms");
        TestContext.Current.SendDiagnosticMessage(told);
        // Two seconds on a quiet host; a busy one takes its time by hand as well.
        Assert.True(took < TimeSpan.FromSeconds(2) || took < 5 * (byHand > again ? byHand : again), told);
    }

    [Fact]
    public async Task Who_is_no_administrator_sees_it_and_sets_nothing()
    {
        await VisitAsync("read", _ => { }, "setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", "libvirt");

        (int exitCode, string metadata) =
            await _host.TryVirshAsync("metadata", "web1", "--uri", TieringSettings.MetadataNamespace, "--live");
        Assert.True(exitCode != 0, metadata);
    }

    /// <summary>Has a browser use the page, in a session of whoever the command makes of root.</summary>
    private async Task VisitAsync(string kind, Action<string> onLine, params string[] asUser)
    {
        int port = FreePort();
        string tool = $"PATH={AppContext.BaseDirectory}:{Environment.GetEnvironmentVariable("PATH")}";
        using Daemon cockpit = _host.StartInside("cockpit-ws-" + kind,
            ["env", tool, $"XDG_DATA_DIRS={_folder.FullName}:/usr/share", "HOME=/nonexistent", .. asUser,
                "/usr/lib/cockpit/cockpit-ws", "--local-session=/usr/bin/cockpit-bridge", "--address=127.0.0.1",
                string.Create(CultureInfo.InvariantCulture, $"--port={port}")]);
        await Eventually.IsTrue(() => Listens(port), () => "cockpit-ws does not listen");
        await RunAsync(
            [Path.Combine(s_sources, "in-cockpit"), string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}"),
                _web1.Uuid.ToString(), kind],
            onLine);
        await cockpit.EndAsync();
    }

    /// <summary>How long it takes until virsh shows a budget that the tool sets.</summary>
    private async Task<TimeSpan> SetByHandAsync(string budget)
    {
        using Daemon tool = _host.StartInside("set-" + budget,
            [Path.Combine(AppContext.BaseDirectory, "virttier"), "set", _web1.Uuid.ToString(), "--dram", budget]);
        return await UntilShownAsync(budget);
    }

    private async Task<TimeSpan> UntilShownAsync(string budget)
    {
        Stopwatch watch = Stopwatch.StartNew();
        await Eventually.IsTrue(() => ShowsAsync(budget), () => $"virsh shows no budget of {budget}");
        return watch.Elapsed;
    }

    private async Task<bool> ShowsAsync(string budget) =>
        (await _host.TryVirshAsync("metadata", "web1", "--uri", TieringSettings.MetadataNamespace, "--live"))
        .Output.Contains($"dram=\"{budget}\"", StringComparison.Ordinal);

    private static int FreePort()
    {
        using TcpListener free = new(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }

    private static bool Listens(int port)
    {
        try
        {
            using TcpClient client = new("127.0.0.1", port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static async Task RunAsync(string[] command, Action<string> onLine)
    {
        ProcessStartInfo start = new(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        while (await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is { } line)
            onLine(line);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"{string.Join(' ', command)}: {await errors}");
    }
}
