// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Libvirt.Settings;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Agent.Tests.Host;

/// <summary>Two private hosts to which random things happen, the same ones for the same seed as far as the hosts keep step.</summary>
internal sealed class Chaos : IAsyncDisposable
{
    private const int MostDomains = 5;

    private static readonly TimeSpan s_migrationPatience = TimeSpan.FromSeconds(3);

    private readonly int _seed;
    private readonly Random _random;
    private readonly ChaosHost[] _hosts;
    private readonly string _floppy;
    private readonly List<string> _journal = [];
    private readonly List<(ChaosHost Host, string File)> _saved = [];
    private readonly (int Weight, Func<ChaosHost, Task> Step)[] _steps;
    private int _made;

    private Chaos(int seed, ChaosHost[] hosts, string floppy)
    {
        _seed = seed;
        _random = new(seed);
        _hosts = hosts;
        _floppy = floppy;
        _steps =
        [
            (20, CreateAsync),
            (10, StartAsync),
            (10, host => OnAnyAsync(host, "destroy")),
            (8, KillQemuAsync),
            (8, host => OnAnyAsync(host, "suspend")),
            (8, host => OnAnyAsync(host, "resume")),
            (4, host => OnAnyAsync(host, "reset")),
            (6, host => OnAnyAsync(host, "managedsave")),
            (6, SaveAsync),
            (8, RestoreAsync),
            (12, SetSettingsAsync),
            (4, host => OnAnyAsync(host, "setmem", "8MiB", "--live")),
            (6, PlugMemoryAsync),
            (5, host => OnAnyAsync(host, "undefine")),
            (8, MigrateAsync),
            (8, DisturbMigrationAsync),
            (16, RestartSomethingAsync),
        ];
    }

    /// <summary>What has happened so far.</summary>
    internal string Journal
    {
        get
        {
            lock (_journal)
                return string.Join(", ", _journal);
        }
    }

    internal static async Task<Chaos> StartAsync(int seed)
    {
        ChaosHost left = await ChaosHost.StartAsync("left");
        ChaosHost right = await ChaosHost.StartAsync("right");
        return new(seed, [left, right], await left.Host.WriteFileAsync("dirty.img", BootSector.DirtiesMemory));
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ChaosHost host in _hosts)
            await host.DisposeAsync();
    }

    /// <summary>Lets one thing happen, now and then with a daemon restarted at the same time.</summary>
    internal async Task StepAsync()
    {
        ChaosHost host = _hosts[_random.Next(4) / 3]; // most on the first: more happens to the same domains
        int dice = _random.Next(_steps.Sum(step => step.Weight));
        int chosen = 0;
        while ((dice -= _steps[chosen].Weight) >= 0)
            chosen++;
        bool nothingRuns = (await host.ListAsync(running: true)).Length == 0;
        Task restart = _random.Next(8) == 0 ? RestartSomethingAsync(host) : Task.CompletedTask;
        await (nothingRuns ? CreateAsync(host) : _steps[chosen].Step(host));
        await restart;
    }

    /// <summary>Waits until each agent's picture is what virsh, the pid files and the list of samplers say.</summary>
    internal async Task<TimeSpan> SettleAsync()
    {
        Stopwatch watch = Stopwatch.StartNew();
        foreach (ChaosHost host in _hosts)
        {
            string truth = "", picture = "";
            do
            {
                await Task.Delay(100);
                truth = await host.ReadTruthAsync();
                picture = host.ReadPicture();
            }
            while (truth != picture && watch.Elapsed < Eventually.Limit);
            Assert.True(truth == picture,
                $"seed {_seed}: the picture of {host.Name} is\n{picture}\nbut virsh says\n{truth}\nafter: {Journal}\n{host}");
        }
        return watch.Elapsed;
    }

    private async Task CreateAsync(ChaosHost host)
    {
        if ((await host.ListAsync(running: true)).Length >= MostDomains)
            return;
        TestDomain domain = new($"web{++_made}")
        {
            MemoryMiB = 16,
            Metadata = TestDomain.MetadataOf($"shares='{_made}'"),
            Extra = """
                <maxMemory slots='4' unit='MiB'>512</maxMemory>
                <cpu><numa><cell id='0' cpus='0' memory='16' unit='MiB'/></numa></cpu>
                """,
        };
        if (_random.Next(4) == 0)
            domain = domain.BootingFrom(_floppy);
        bool persistent = _random.Next(2) == 0;
        string xml = await host.Host.WriteFileAsync(domain.Name + ".xml", domain.ToXml());
        await VirshAsync(host, persistent ? "define" : "create", xml);
        if (persistent)
            await VirshAsync(host, "start", domain.Name);
    }

    private async Task StartAsync(ChaosHost host)
    {
        if (Pick(await host.ListAsync(running: false)) is { } name)
            await VirshAsync(host, "start", name);
        else
            await CreateAsync(host);
    }

    private async Task OnAnyAsync(ChaosHost host, string command, params string[] arguments)
    {
        if (Pick(await host.ListAsync(running: true)) is { } name)
            await VirshAsync(host, [command, name, .. arguments]);
    }

    private async Task KillQemuAsync(ChaosHost host)
    {
        if (Pick(await host.ListAsync(running: true)) is not { } name || host.Host.FindPid(name) is not { } pid)
            return;
        Note(host, $"kill -9 {name}");
        Daemon.SignalPid(pid, Daemon.SigKill);
    }

    private async Task SaveAsync(ChaosHost host)
    {
        if (Pick(await host.ListAsync(running: true)) is not { } name)
            return;
        string file = await host.Host.WriteFileAsync(name + ".save", "");
        if (await VirshAsync(host, "save", name, file) == 0)
            _saved.Add((host, file));
    }

    private async Task RestoreAsync(ChaosHost host)
    {
        if (_saved.FirstOrDefault(saved => saved.Host == host).File is { } file)
        {
            _saved.RemoveAll(saved => saved.File == file);
            await VirshAsync(host, "restore", file);
        }
        else
        {
            await SaveAsync(host);
        }
    }

    private Task SetSettingsAsync(ChaosHost host)
    {
        string mode = _random.Next(4) == 0 ? "mode='off' " : "";
        return OnAnyAsync(host, "metadata", "--uri", TieringSettings.MetadataNamespace, "--key", "vt", "--live", "--set",
            string.Create(CultureInfo.InvariantCulture, $"<tiering {mode}shares='{_random.Next(1, 1000)}'/>"));
    }

    private async Task PlugMemoryAsync(ChaosHost host) => await OnAnyAsync(host, "attach-device", await host.Host.WriteFileAsync(
        "dimm.xml", "<memory model='dimm'><target><size unit='MiB'>16</size><node>0</node></target></memory>"), "--live");

    private async Task MigrateAsync(ChaosHost host)
    {
        if (Pick(await host.ListAsync(running: true)) is { } name)
            await MigrateAsync(host, name, "1000");
    }

    /// <summary>A migration that is slow enough for something to happen to it.</summary>
    private async Task DisturbMigrationAsync(ChaosHost host)
    {
        if (Pick(await host.ListAsync(running: true)) is not { } name)
            return;
        ChaosHost other = _hosts.Single(h => h != host);
        TimeSpan wait = TimeSpan.FromMilliseconds(_random.Next(2000));
        int disturbance = _random.Next(5);
        Task migration = MigrateAsync(host, name, "1");
        await Task.WhenAny(migration, Task.Delay(wait));
        switch (disturbance)
        {
            case 0:
                await VirshAsync(host, "migrate-setspeed", name, "1000");
                break;
            case 1:
                await KillQemuAsync(host);
                break;
            case 2:
                await RestartLibvirtdAsync(host);
                break;
            case 3:
                await RestartLibvirtdAsync(other);
                break;
            default:
                await VirshAsync(host, "domjobabort", name);
                break;
        }

        // What came too early to disturb it, or not at all, is made good for: a guest that writes faster never arrives.
        while (await Task.WhenAny(migration, Task.Delay(s_migrationPatience)) != migration)
            await VirshAsync(host, "domjobabort", name);
        await migration;
    }

    private Task<int> MigrateAsync(ChaosHost from, string name, string bandwidth)
    {
        ChaosHost to = _hosts.Single(h => h != from);
        return VirshAsync(from, "migrate", name, to.Host.Connection, "--live", "--bandwidth", bandwidth, "--migrateuri", "tcp://127.0.0.1", "--unsafe");
    }

    /// <summary>Draws all that it needs before it waits for anything: a step that runs beside it must not change the sequence.</summary>
    private Task RestartSomethingAsync(ChaosHost host)
    {
        int signal = AnySignal();
        return _random.Next(4) switch
        {
            0 => RestartAsync(host, $"restart libvirtd (signal {signal})", () => RestartLibvirtdAsync(host, signal)),
            1 => RestartAsync(host, $"restart libvirt-dbus (signal {signal})", () => RestartLibvirtDbusAsync(host, signal)),
            2 => RestartAsync(host, $"restart the bus and all on it (signal {signal})", async () =>
            {
                await host.Host.RestartBusAsync();
                await RestartLibvirtdAsync(host, signal);
                await RestartLibvirtDbusAsync(host, signal);
            }),
            _ => RestartAsync(host, "restart the agent", host.RestartAgentAsync),
        };
    }

    private Task RestartLibvirtdAsync(ChaosHost host)
    {
        int signal = AnySignal();
        return RestartAsync(host, $"restart libvirtd (signal {signal})", () => RestartLibvirtdAsync(host, signal));
    }

    /// <summary>One restart of a host at a time.</summary>
    private async Task RestartAsync(ChaosHost host, string what, Func<Task> restart)
    {
        await host.Restarting.WaitAsync();
        try
        {
            Note(host, what);
            await restart();
        }
        finally
        {
            host.Restarting.Release();
        }
    }

    private static async Task RestartLibvirtdAsync(ChaosHost host, int signal)
    {
        await host.Host.Libvirtd.EndAsync(signal);
        await host.Host.StartLibvirtdAsync();
    }

    private static async Task RestartLibvirtDbusAsync(ChaosHost host, int signal)
    {
        await host.Host.LibvirtDbus.EndAsync(signal);
        host.Host.StartLibvirtDbus();
    }

    private int AnySignal() => _random.Next(2) == 0 ? Daemon.SigTerm : Daemon.SigKill;

    private string? Pick(string[] names) => names.Length == 0 ? null : names[_random.Next(names.Length)];

    /// <summary>May fail: the domain may have gone, or be as wanted already, or libvirtd be away.</summary>
    private async Task<int> VirshAsync(ChaosHost host, params string[] arguments)
    {
        (int exitCode, _) = await host.Host.TryVirshAsync(arguments);
        Note(host, string.Join(' ', arguments.Take(2)) + (exitCode == 0 ? "" : " (refused)"));
        return exitCode;
    }

    private void Note(ChaosHost host, string what)
    {
        lock (_journal)
            _journal.Add($"{host.Name}: {what}");
    }
}
