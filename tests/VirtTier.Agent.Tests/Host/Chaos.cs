// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests.Host;

/// <summary>Two private hosts to which random things happen, the same ones for the same seed as far
/// as the hosts keep step.</summary>
internal sealed class Chaos : ChaosRun
{
    private const int MostDomains = 5;
    private const int MostNoted = 60;
    private const string Dimm = "<memory model='dimm'><target><size unit='MiB'>16</size><node>0</node></target></memory>";

    private static readonly TimeSpan s_migrationPatience = TimeSpan.FromSeconds(3);

    private readonly ChaosHost[] _hosts;
    private readonly string[] _floppies;
    private readonly List<(ChaosHost Host, string File)> _saved = [];
    private readonly (int Weight, Func<ChaosHost, Task> Step)[] _steps;
    private int _made;

    private Chaos(int seed, ChaosHost[] hosts, string[] floppies)
        : base(seed)
    {
        _hosts = hosts;
        _floppies = floppies;
        _steps =
        [
            (20, CreateAsync),
            (10, StartAsync),
            (3, CreateInVainAsync),
            (10, host => OnAnyAsync(host, "destroy")),
            (5, host => OnAnyAsync(host, "shutdown")),
            (8, KillQemuAsync),
            (8, host => OnAnyAsync(host, "suspend")),
            (8, host => OnAnyAsync(host, "resume")),
            (4, host => OnAnyAsync(host, "reset")),
            (6, host => OnAnyAsync(host, "managedsave")),
            (6, SaveAsync),
            (8, RestoreAsync),
            (4, SnapshotAsync),
            (3, DumpAsync),
            (12, SetSettingsAsync),
            (4, StormAsync),
            (4, host => OnAnyAsync(host, "setmem", "8MiB", "--live")),
            (6, PlugMemoryAsync),
            (4, UnplugMemoryAsync),
            (3, host => OnAnyAsync(host, "update-memory-device", "--requested-size", "16MiB")),
            (5, host => OnAnyAsync(host, "undefine")),
            (4, RenameAsync),
            (8, MigrateAsync),
            (8, DisturbMigrationAsync),
            (16, RestartSomethingAsync),
            (4, OutageAsync),
        ];
    }

    /// <param name="seed">The seed.</param>
    /// <param name="source">How the agents learn of domains.</param>
    internal static async Task<Chaos> StartAsync(int seed, LibvirtSource source)
    {
        ChaosHost left = await ChaosHost.StartAsync("left", machined: seed % 2 == 0, source);
        ChaosHost right = await ChaosHost.StartAsync("right", machined: false, source);
        string[] floppies =
        [
            await left.Host.WriteFileAsync("halts.img", BootSector.Halts),
            await left.Host.WriteFileAsync("dirty.img", BootSector.DirtiesMemory),
            await left.Host.WriteFileAsync("eject.img", BootSector.EjectsMemory),
            await left.Host.WriteFileAsync("asked.img", BootSector.PowersOffWhenAsked),
            await left.Host.WriteFileAsync("panic.img", BootSector.Panics),
        ];
        return new(seed, [left, right], floppies);
    }

    public override async ValueTask DisposeAsync()
    {
        foreach (ChaosHost host in _hosts)
            await host.DisposeAsync();
    }

    /// <summary>Lets one thing happen, now and then with a daemon restarted at the same time.</summary>
    internal override async Task StepAsync()
    {
        ChaosHost host = _hosts[Chance.Next(4) / 3]; // most on the first: more happens to the same domains
        Func<ChaosHost, Task> step = Choose(_steps);
        bool nothingRuns = (await host.ListAsync(running: true)).Length == 0;
        Task restart = Chance.Next(8) == 0 ? RestartSomethingAsync(host) : Task.CompletedTask;
        await (nothingRuns ? CreateAsync(host) : step(host));
        await restart;
    }

    /// <summary>Waits until each agent's picture is what virsh, the pid files and the list of samplers say.</summary>
    /// <returns>How long the slower agent needed.</returns>
    internal override async Task<TimeSpan> SettleAsync() => (await Task.WhenAll(_hosts.Select(
        host => SettleAsync(host.Name, host.ReadTruthAsync, host.ReadPicture, () => $"{host}")))).Max();

    private async Task CreateAsync(ChaosHost host)
    {
        if ((await host.ListAsync(running: true)).Length >= MostDomains)
            return;
        int guest = Math.Max(0, Chance.Next(2 * _floppies.Length) - _floppies.Length); // half of them stand still
        TestDomain domain = NewDomain($"web{++_made}").BootingFrom(_floppies[guest]);
        domain = domain with { Devices = domain.Devices + "<panic model='isa'/>" };
        bool persistent = Chance.Next(2) == 0;
        string xml = await host.Host.WriteFileAsync(domain.Name + ".xml", domain.ToXml());
        await VirshAsync(host, persistent ? "define" : "create", xml);
        if (persistent)
            await VirshAsync(host, "start", domain.Name);
    }

    private TestDomain NewDomain(string name) => new(name)
    {
        MemoryMiB = 16,
        Metadata = TestDomain.MetadataOf($"shares='{_made}'"),
        Extra = $"""
            <maxMemory slots='4' unit='MiB'>512</maxMemory>
            <cpu><numa><cell id='0' cpus='0' memory='16' unit='MiB'/></numa></cpu>
            <on_crash>{(Chance.Next(2) == 0 ? "preserve" : "destroy")}</on_crash>
            """,
    };

    /// <summary>A start that the hook refuses, before or after QEMU runs, or that QEMU does not survive.</summary>
    private async Task CreateInVainAsync(ChaosHost host)
    {
        int how = Chance.Next(3);
        TestDomain domain = NewDomain((how == 0 ? "nop" : how == 1 ? "nos" : "huge") + ++_made);
        if (how == 2)
            domain = domain with { MemoryMiB = 1 << 28, Extra = "" };
        await VirshAsync(host, "create", await host.Host.WriteFileAsync(domain.Name + ".xml", domain.ToXml()));
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
        if (Pick(await host.ListAsync(running: true)) is { } name && host.Host.KillQemu(name))
            Note(host, $"kill -9 {name}");
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

    private async Task SnapshotAsync(ChaosHost host)
    {
        int number = ++_made;
        string memory = await host.Host.WriteFileAsync($"memory{number}", "");
        await OnAnyAsync(host, "snapshot-create-as", $"snapshot{number}", "--memspec", $"{memory}.snapshot,snapshot=external");
    }

    private async Task DumpAsync(ChaosHost host) =>
        await OnAnyAsync(host, "dump", await host.Host.WriteFileAsync("core", ""), "--memory-only");

    /// <summary>Sets, changes and removes the copy that counts, or another one that does not.</summary>
    private Task SetSettingsAsync(ChaosHost host)
    {
        string mode = Chance.Next(4) == 0 ? "mode='off' " : "";
        string set = string.Create(CultureInfo.InvariantCulture, $"<tiering {mode}shares='{Chance.Next(1, 1000)}'/>");
        string foreign = $"<other:tiering xmlns:other='urn:other' shares='9'>{new string('x', 100_000)}</other:tiering>";
        return Chance.Next(8) switch
        {
            0 => MetadataAsync(host, "--live", "--remove"),
            1 => MetadataAsync(host, "--config", "--set", set),
            2 => MetadataAsync(host, "--live", "--set", $"<tiering shares='{ChaosHost.BadShares}'/>"),
            3 => OnAnyAsync(host, "metadata", "--uri", "urn:other", "--key", "other", "--live", "--set", foreign),
            _ => MetadataAsync(host, "--live", "--set", set),
        };
    }

    private Task MetadataAsync(ChaosHost host, params string[] what) =>
        OnAnyAsync(host, "metadata", ["--uri", TieringSettings.MetadataNamespace, "--key", "vt", .. what]);

    /// <summary>A hundred changes as fast as virsh can.</summary>
    private async Task StormAsync(ChaosHost host)
    {
        if (Pick(await host.ListAsync(running: true)) is not { } name)
            return;
        int first = Chance.Next(1, 1000);
        await VirshAsync(host, string.Join(';', Enumerable.Range(first, 100).Select(shares => string.Create(
            CultureInfo.InvariantCulture,
            $"metadata {name} --uri {TieringSettings.MetadataNamespace} --key vt --live --set "
                + $"\"<tiering shares='{shares}'/>\""))));
    }

    private async Task RenameAsync(ChaosHost host)
    {
        if (Pick(await host.ListAsync(running: false)) is { } name)
            await VirshAsync(host, "domrename", name, $"web{++_made}");
    }

    private async Task PlugMemoryAsync(ChaosHost host)
    {
        string xml = Chance.Next(3) == 0
            ? "<memory model='virtio-mem'><target><size unit='MiB'>32</size><node>0</node><block unit='MiB'>2</block>"
                + "<requested unit='MiB'>0</requested></target></memory>"
            : Dimm;
        await OnAnyAsync(host, "attach-device", await host.Host.WriteFileAsync("memory.xml", xml), "--live");
    }

    /// <summary>Some guests give it back.</summary>
    private async Task UnplugMemoryAsync(ChaosHost host) =>
        await OnAnyAsync(host, "detach-device", await host.Host.WriteFileAsync("dimm.xml", Dimm), "--live");

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
        TimeSpan wait = TimeSpan.FromMilliseconds(Chance.Next(2000));
        int disturbance = Chance.Next(5);
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
        return VirshAsync(from, "migrate", name, to.Host.Connection, "--live", "--bandwidth", bandwidth, "--migrateuri",
            "tcp://127.0.0.1", "--unsafe");
    }

    /// <summary>Draws all that it needs before it waits for anything: a step that runs beside it must
    /// not change the sequence.</summary>
    private Task RestartSomethingAsync(ChaosHost host)
    {
        int signal = AnySignal();
        return Chance.Next(5) switch
        {
            0 => RestartAsync(host, $"restart libvirtd (signal {signal})", () => RestartLibvirtdAsync(host, signal)),
            1 => RestartAsync(host, $"restart libvirt-dbus (signal {signal})", () => RestartLibvirtDbusAsync(host, signal)),
            2 => RestartAsync(host, $"restart the bus and all on it (signal {signal})", async () =>
            {
                await host.Host.RestartBusAsync();
                await RestartLibvirtdAsync(host, signal);
                await RestartLibvirtDbusAsync(host, signal);
                await RestartMachinedAsync(host, signal);
            }),
            3 => RestartAsync(host, $"restart machined (signal {signal})", () => RestartMachinedAsync(host, signal)),
            _ => RestartAsync(host, "restart the agent", host.RestartAgentAsync),
        };
    }

    private Task RestartLibvirtdAsync(ChaosHost host)
    {
        int signal = AnySignal();
        return RestartAsync(host, $"restart libvirtd (signal {signal})", () => RestartLibvirtdAsync(host, signal));
    }

    /// <summary>Longer than a heartbeat without libvirtd, while a domain dies.</summary>
    private Task OutageAsync(ChaosHost host)
    {
        TimeSpan length = TimeSpan.FromMilliseconds(Chance.Next(6000));
        return RestartAsync(host, "libvirtd is away", async () =>
        {
            string[] running = await host.ListAsync(running: true);
            await host.Host.Libvirtd.EndAsync(Daemon.SigKill);
            await Task.Delay(length / 2);
            if (Pick(running) is { } name && host.Host.KillQemu(name))
                Note(host, $"kill -9 {name}");
            await Task.Delay(length / 2);
            await host.Host.StartLibvirtdAsync();
        });
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

    private static async Task RestartMachinedAsync(ChaosHost host, int signal)
    {
        if (host.Host.Machined is not { } machined)
            return;
        await machined.EndAsync(signal);
        await host.Host.StartMachinedAsync();
    }

    private int AnySignal() => Chance.Next(2) == 0 ? Daemon.SigTerm : Daemon.SigKill;

    private string? Pick(string[] names) => names.Length == 0 ? null : names[Chance.Next(names.Length)];

    /// <summary>May fail: the domain may have gone, or be as wanted already, or libvirtd be away.</summary>
    private async Task<int> VirshAsync(ChaosHost host, params string[] arguments)
    {
        (int exitCode, _) = await host.Host.TryVirshAsync(arguments);
        string what = string.Join(' ', arguments.Take(2));
        Note(host, (what.Length > MostNoted ? what[..MostNoted] + "..." : what) + (exitCode == 0 ? "" : " (refused)"));
        return exitCode;
    }

    private void Note(ChaosHost host, string what) => Note($"{host.Name}: {what}");
}
