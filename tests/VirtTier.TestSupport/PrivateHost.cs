// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Libvirt.Settings;

namespace VirtTier.TestSupport;

/// <summary>
/// A host of a test's own: real dbus-daemon, libvirtd, libvirt-dbus and QEMU in their own mount and UTS namespace, with
/// everything that they write in one temporary directory. Nothing of the machine's libvirt is touched, and several hosts
/// run side by side. A janitor inside the namespace ends all that is in it when the test process goes, however that happens.
/// </summary>
internal sealed class PrivateHost : IAsyncDisposable
{
    // The janitor. Its standard input is a pipe from the test: the end of file is the sign to clean up. It ignores the
    // signals that end a whole process group, since QEMU is in none and would outlive the test. A pid that it was told may be
    // somebody else's by now: outside of the namespace it ends only what has the host's directory among its arguments.
    private const string NamespaceScript = """
        set -e
        trap '' HUP INT TERM
        hostname "$2"
        mount -t tmpfs tmpfs /run
        mkdir /run/libvirt
        for pair in run:/run/libvirt etc:/etc/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt; do
            mount --bind "$1/${pair%%:*}" "${pair#*:}"
        done
        echo ready
        cat >/dev/null
        set +e
        for file in "$1"/pids/*; do
            pid=$(cat "$file")
            tr '\0' ' ' <"/proc/$pid/cmdline" | grep -qF "$1/" && kill -9 "$pid"
        done 2>/dev/null
        own=$(readlink /proc/self/ns/mnt)
        for process in /proc/[0-9]*; do
            [ "$(readlink "$process/ns/mnt")" = "$own" ] && [ "$process" != "/proc/$$" ] && kill -9 "${process#/proc/}"
        done 2>/dev/null
        rm -rf "$1"
        """;

    private static string LibvirtdConfiguration => $"""
        auth_unix_ro = "none"
        auth_unix_rw = "none"
        unix_sock_group = "libvirt"
        unix_sock_rw_perms = "0770"
        log_level = 3
        host_uuid = "{Guid.NewGuid()}"
        """;

    private const string QemuConfiguration = """
        security_driver = "none"
        user = "root"
        group = "root"
        dynamic_ownership = 0
        remember_owner = 0
        namespaces = []
        stdio_handler = "file"
        """;

    /// <summary>libvirt's cache of what QEMU can do: probing costs seconds, so hosts inherit it from the last one.</summary>
    private static readonly string s_sharedCache = Path.Combine(Path.GetTempPath(), "virttier-tests-qemu-capabilities");

    // Another daemon than libvirtd: the path of a virtqemud (testbed/virtqemud makes one).
    private static readonly string? s_virtqemud = Environment.GetEnvironmentVariable("VIRTTIER_VIRTQEMUD") is { Length: > 0 } path
        ? path : null;

    private readonly string _directory;
    private readonly Process _janitor;
    private int _daemonsStarted;

    private PrivateHost(string directory, Process janitor, PrivateBus bus)
    {
        _directory = directory;
        _janitor = janitor;
        Bus = bus;
    }

    internal PrivateBus Bus { get; }

    /// <summary>The daemon with libvirt's QEMU driver: libvirtd, or virtqemud.</summary>
    internal Daemon Libvirtd { get; private set; } = null!;

    /// <summary>Its program's name.</summary>
    internal static string DaemonName => s_virtqemud is null ? "libvirtd" : "virtqemud";

    internal Daemon LibvirtDbus { get; private set; } = null!;

    /// <summary>Where libvirt's QEMU driver has its pid files.</summary>
    internal string RunDirectory => Path.Combine(_directory, "run", "qemu");

    internal string Connection => $"qemu:///system?socket={Path.Combine(_directory, "run", SocketName)}";

    private static string SocketName => s_virtqemud is null ? "libvirt-sock" : "virtqemud-sock";

    /// <param name="name">The host's name.</param>
    /// <param name="hook">A qemu hook that is in place from the beginning: the shell's commands; null for none.</param>
    /// <param name="runDirectory">A directory to be made that its libvirt has as /run/libvirt; null for one of its own.</param>
    internal static async Task<PrivateHost> StartAsync(string name, string? hook = null, string? runDirectory = null)
    {
        HostRing.RequireRoot();
        HostRing.RequirePrograms("dbus-daemon", "libvirtd", "libvirt-dbus", "virsh", "unshare", "nsenter", "setpriv",
            "qemu-system-x86_64");
        string directory = Directory.CreateTempSubdirectory("vt-").FullName;
        File.SetUnixFileMode(directory, (UnixFileMode)0b111_101_101); // libvirt-dbus, not root, must reach the bus in it
        if (runDirectory is not null)
            Directory.CreateSymbolicLink(Path.Combine(directory, "run"), Directory.CreateDirectory(runDirectory).FullName);
        foreach (string part in new[] { "run", "etc/hooks", "lib/qemu", "log", "cache/qemu", "pids" })
            Directory.CreateDirectory(Path.Combine(directory, part));
        await File.WriteAllTextAsync(Path.Combine(directory, $"etc/{DaemonName}.conf"), LibvirtdConfiguration);
        await File.WriteAllTextAsync(Path.Combine(directory, "etc/qemu.conf"), QemuConfiguration);
        CopyDirectory(s_sharedCache, Path.Combine(directory, "cache/qemu"));
        if (hook is not null)
            await WriteHookAsync(directory, hook);

        PrivateHost host = new(directory, await StartJanitorAsync(directory, name), await PrivateBus.StartAsync(directory));
        host.Record(host.Bus.Daemon);
        await host.StartLibvirtdAsync();
        host.StartLibvirtDbus();
        return host;
    }

    /// <param name="options">Options of the daemon's.</param>
    internal async Task StartLibvirtdAsync(params string[] options)
    {
        Libvirtd = StartInside(DaemonName,
            [s_virtqemud ?? "libvirtd", "--pid-file", Path.Combine(_directory, DaemonName + ".pid"), .. options]);
        await Eventually.IsTrue(
            async () => (await TryVirshAsync("uri")).ExitCode == 0,
            () => $"{DaemonName} does not come up: " + File.ReadAllText(Path.Combine(_directory, DaemonName + ".log")));
    }

    /// <summary>Has libvirt's socket listened on by systemd's own program, which becomes the daemon when somebody calls, and
    /// listens again when that has ended: what a socket unit does, but for the moment in between.</summary>
    /// <param name="timeout">After how many seconds without a client or a domain the daemon ends.</param>
    internal void ListenForLibvirtd(int timeout)
    {
        string listen = $"systemd-socket-activate --listen=/run/libvirt/{SocketName} --fdname={DaemonName}.socket";
        string daemon = $"{s_virtqemud ?? "/usr/sbin/libvirtd"} --pid-file {Path.Combine(_directory, DaemonName + ".pid")}";
        Libvirtd = StartInside(DaemonName, "sh", "-c",
            string.Create(CultureInfo.InvariantCulture, $"while :; do {listen} {daemon} --timeout {timeout}; sleep 0.1; done"));
    }

    internal void StartLibvirtDbus() => LibvirtDbus = StartInside("libvirt-dbus",
        "setpriv", "--reuid", "libvirtdbus", "--regid", "libvirtdbus", "--groups", "libvirt", "libvirt-dbus", "--system");

    /// <summary>The real one; null on a host without it. It needs a <see cref="SystemdDouble"/> on the bus.</summary>
    internal Daemon? Machined { get; private set; }

    /// <summary>Starts systemd-machined, before the first domain: libvirtd looks for it once.</summary>
    internal async Task StartMachinedAsync()
    {
        // libvirtd uses it only where the bus could start it.
        await File.WriteAllTextAsync(Path.Combine(Bus.ServiceDirectory, "org.freedesktop.machine1.service"),
            "[D-BUS Service]\nName=org.freedesktop.machine1\nExec=/bin/false\n");
        Bus.Daemon.Signal(1); // SIGHUP: it reads its services again
        Machined = StartInside("machined", "sh", "-c", "mkdir -p /run/systemd/machines && exec /lib/systemd/systemd-machined");
        using Daemon probe = StartInside("machined-probe", "sh", "-c",
            "until busctl call org.freedesktop.machine1 /org/freedesktop/machine1 "
            + "org.freedesktop.machine1.Manager ListMachines; do sleep 0.05; done");
        await Eventually.IsTrue(() => probe.HasEnded,
            () => "machined does not come up: " + File.ReadAllText(Path.Combine(_directory, "machined.log")));
    }

    internal async Task RestartBusAsync()
    {
        await Bus.Daemon.EndAsync(Daemon.SigKill);
        await Bus.StartDaemonAsync();
        Record(Bus.Daemon);
    }

    /// <summary>Starts a program in the host's namespaces and on its bus.</summary>
    internal Daemon StartInside(string name, params string[] command)
    {
        Dictionary<string, string> environment = new() { ["DBUS_SYSTEM_BUS_ADDRESS"] = Bus.Address };
        string[] nsenter = ["nsenter", "--target", _janitor.Id.ToString(CultureInfo.InvariantCulture), "--mount", "--uts"];
        Daemon daemon = Daemon.Start(Path.Combine(_directory, name + ".log"), environment, [.. nsenter, .. command]);
        Record(daemon);
        return daemon;
    }

    /// <summary>Starts a transient domain.</summary>
    internal async Task CreateAsync(TestDomain domain) =>
        await VirshAsync("create", await WriteFileAsync(domain.Name + ".xml", domain.ToXml()));

    /// <summary>Defines a persistent domain and leaves it off.</summary>
    internal async Task DefineAsync(TestDomain domain) =>
        await VirshAsync("define", await WriteFileAsync(domain.Name + ".xml", domain.ToXml()));

    /// <summary>Sets a domain's tiering metadata as a person does.</summary>
    internal async Task SetMetadataAsync(string name, string element, string copy = "--live") => await VirshAsync(
        "metadata", name, "--uri", TieringSettings.MetadataNamespace, "--key", "vt", copy, "--set", element);

    /// <summary>What libvirt has written into a domain's pid file.</summary>
    internal int ReadPid(string name) =>
        int.Parse(File.ReadAllText(Path.Combine(RunDirectory, name + ".pid")), CultureInfo.InvariantCulture);

    /// <summary>The same; null when there is none, as the domain has ended.</summary>
    internal int? FindPid(string name)
    {
        try
        {
            return ReadPid(name);
        }
        catch (Exception e) when (e is FileNotFoundException or FormatException)
        {
            return null; // FormatException: QEMU has made the file and not yet written it
        }
    }

    /// <summary>Kills a domain's QEMU; false when its pid file names a process that is not, or no longer,
    /// one of this host.</summary>
    internal bool KillQemu(string name)
    {
        if (FindPid(name) is not { } pid || !Owns(pid))
            return false;
        Daemon.SignalPid(pid, Daemon.SigKill);
        return true;
    }

    /// <summary>Whether a process is one of this host.</summary>
    internal bool Owns(int pid) =>
        new DirectoryInfo($"/proc/{pid}/ns/mnt").LinkTarget == new DirectoryInfo($"/proc/{_janitor.Id}/ns/mnt").LinkTarget;

    /// <summary>Puts a qemu hook in place; libvirtd has to be started anew to see the first one.</summary>
    internal async Task InstallHookAsync(string script)
    {
        await WriteHookAsync(_directory, script);
        await Libvirtd.EndAsync();
        await StartLibvirtdAsync();
    }

    private static async Task WriteHookAsync(string directory, string script)
    {
        string path = Path.Combine(directory, "etc/hooks/qemu");
        await File.WriteAllTextAsync(path, "#!/bin/sh\n" + script);
        File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
    }

    /// <summary>Runs virsh against this host; fails the test when virsh does.</summary>
    internal async Task<string> VirshAsync(params string[] arguments)
    {
        (int exitCode, string output) = await TryVirshAsync(arguments);
        Assert.True(exitCode == 0, $"virsh {string.Join(' ', arguments)}: {output}");
        return output.Trim();
    }

    /// <summary>
    /// Begins to migrate a domain that writes memory all the time (<see cref="BootSector.DirtiesMemory"/>): at 1 MiB/s, and with
    /// no more than a millisecond in which the guest may stand still, it does not end by itself.
    /// </summary>
    /// <returns>What virsh will say when it has ended.</returns>
    internal async Task<Task<(int ExitCode, string Output)>> StartEndlessMigrationAsync(string domain, PrivateHost to)
    {
        await VirshAsync("migrate-setmaxdowntime", domain, "1");
        return TryVirshAsync("migrate", domain, to.Connection, "--live", "--bandwidth", "1", "--migrateuri",
            "tcp://127.0.0.1", "--unsafe");
    }

    /// <summary>Lets such a migration come to its end.</summary>
    internal async Task LetMigrationEndAsync(string domain)
    {
        await VirshAsync("migrate-setmaxdowntime", domain, "2000");
        await VirshAsync("migrate-setspeed", domain, "1000");
    }

    internal async Task<(int ExitCode, string Output)> TryVirshAsync(params string[] arguments)
    {
        ProcessStartInfo start = new("virsh", ["--quiet", "--connect", Connection, .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process virsh = Process.Start(start)!;
        Task<string> errors = virsh.StandardError.ReadToEndAsync();
        string output = await virsh.StandardOutput.ReadToEndAsync();
        await virsh.WaitForExitAsync();
        return (virsh.ExitCode, output + await errors);
    }

    /// <summary>Writes a file that virsh can be given.</summary>
    internal async Task<string> WriteFileAsync(string name, string content)
    {
        string path = Path.Combine(_directory, name);
        await File.WriteAllTextAsync(path, content);
        return path;
    }

    internal async Task<string> WriteFileAsync(string name, byte[] content)
    {
        string path = Path.Combine(_directory, name);
        await File.WriteAllBytesAsync(path, content);
        return path;
    }

    public async ValueTask DisposeAsync()
    {
        CopyDirectory(Path.Combine(_directory, "cache/qemu"), s_sharedCache);
        _janitor.StandardInput.Close();
        await _janitor.WaitForExitAsync();
        _janitor.Dispose();
        LibvirtDbus?.Dispose();
        Libvirtd?.Dispose();
        Bus.Dispose();
    }

    private static async Task<Process> StartJanitorAsync(string directory, string name)
    {
        ProcessStartInfo start = new("unshare",
            ["--mount", "--uts", "--propagation", "private", "sh", "-c", NamespaceScript, "janitor", directory, name])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Process janitor = Process.Start(start)!;
        string? answer = await janitor.StandardOutput.ReadLineAsync();
        if (answer != "ready")
            Assert.Skip("cannot make a private host: " + await janitor.StandardError.ReadToEndAsync());
        return janitor;
    }

    private void Record(Daemon daemon) => File.WriteAllText(
        Path.Combine(_directory, "pids", Interlocked.Increment(ref _daemonsStarted).ToString(CultureInfo.InvariantCulture)),
        daemon.Pid.ToString(CultureInfo.InvariantCulture));

    private static void CopyDirectory(string from, string to)
    {
        if (!Directory.Exists(from))
            return;
        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);

            // Whole or not at all: another test program may be at the same one.
            string fresh = $"{target}.{Environment.ProcessId}";
            File.Copy(file, fresh, overwrite: true);
            File.Move(fresh, target, overwrite: true);
        }
    }
}
