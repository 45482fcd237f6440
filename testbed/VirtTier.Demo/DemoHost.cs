// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using VirtTier.Agent.Status;
using VirtTier.Replay.Traces;
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>The emulated host with VirtTier installed in it, as the demo sees and steers it.</summary>
internal sealed class DemoHost(EmulatedHost host)
{
    private const string Folder = "demo";
    private const int KibibytesInBlock = 2048;
    private const string AskStatus =
        "busctl --json=short call org.virttier.Agent1 /org/virttier/Agent1 org.virttier.Agent1 GetStatus";

    // Of each kernel's release, as built: they are the same for every host of one run, and take minutes.
    private static readonly Dictionary<string, (string Name, byte[] Content)[]> s_packages = [];

    private long _readingsTaken;
    private string _share = "";

    public EmulatedHost Host => host;

    /// <summary>Boots the host, and builds its image where there is none yet, which takes minutes.</summary>
    /// <param name="progress">Told each step of the build.</param>
    /// <param name="cancel">Stops waiting.</param>
    public async Task UpAsync(Action<string> progress, CancellationToken cancel)
    {
        await host.UpAsync(progress, cancel);
        _share = await host.ShareAsync(cancel);
        Directory.CreateDirectory(Path.Combine(_share, Folder));
        foreach (string old in Directory.GetFiles(Path.Combine(_share, Folder)))
            File.Delete(old);
    }

    /// <summary>Builds the packages for the host's kernel and installs them with dpkg, as a user would,
    /// then sets the defaults.</summary>
    public async Task InstallAsync(CancellationToken cancel)
    {
        string kernel = (await RunAsync("uname -r", cancel)).Trim();
        await BuildPackagesAsync(kernel, Path.Combine(_share, "debs"), cancel);
        await RunAsync($"""
            set -e
            dpkg --install /share/debs/virttier-module-*.deb /share/debs/virttier_*.deb
            echo 'defaults: {"{"} dram: {DemoGuests.DefaultBudget} {"}"}' > /etc/virttier/virttier.yaml
            # An emulated host works some ten times longer to move a page, so a guest there would wait ten times longer for its own;
            # and as much longer to look where a page is.
            echo 'migration: {"{"} domain_cpu: 50% {"}"}' >> /etc/virttier/virttier.yaml
            echo 'sampling: {"{"} domain_cpu: 50% {"}"}' >> /etc/virttier/virttier.yaml
            systemctl restart virttier
            """, cancel);
    }

    /// <summary>Runs a script that must succeed, and returns its output.</summary>
    public async Task<string> RunAsync(string script, CancellationToken cancel) =>
        (await host.RunAsync(script, cancel: cancel)).RequireSuccess();

    /// <summary>What the agent says; null while it is not on the bus.</summary>
    public async Task<AgentStatus?> StatusAsync(CancellationToken cancel)
    {
        CommandResult result = await host.RunAsync(AskStatus, cancel: cancel);
        return result.ExitCode == 0 ? StatusOf(result.Output) : null;
    }

    /// <summary>What <c>virttier doctor</c> finds, and its exit status.</summary>
    public async Task<(int ExitCode, IReadOnlyList<DoctorLine> Lines)> ConsultDoctorAsync(CancellationToken cancel)
    {
        CommandResult result = await host.RunAsync("virttier doctor --json", cancel: cancel);
        using JsonDocument report = JsonDocument.Parse(result.Output);
        return (result.ExitCode, [.. report.RootElement.GetProperty("findings").EnumerateArray().Select(DoctorLine.FromJson)]);
    }

    /// <summary>What the emulator did wrong, in words: the host is gone, or a payload's virtual CPU holds registers of the host.
    /// Null when neither is so, and when the host died in our module.</summary>
    public async Task<string?> EmulatorFailureAsync(CancellationToken cancel)
    {
        CommandResult lost = await host.RunAsync(
            "for guest in $(virsh --quiet list --name); do guest-lost $guest && echo $guest; done; true", cancel: cancel);
        if (lost.ExitCode == 0)
        {
            string[] guests = lost.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            return guests.Length == 0 ? null : $"the virtual CPU of {string.Join(", ", guests)} holds registers of the host";
        }
        // A call trace through our module is no fault of the emulator's.
        string console = await File.ReadAllTextAsync(Path.Combine(Path.GetDirectoryName(_share)!, "console.log"), cancel);
        return console.Contains("[kvm_ept_sample]", StringComparison.Ordinal)
            ? null
            : $"the host is gone or answers no more: {lost.Error.Trim()}";
    }

    /// <summary>Adds a line to the agent's configuration and has it read again; an empty one takes the last line away.</summary>
    public Task ConfigureAsync(string line, CancellationToken cancel) => RunAsync(
        $"cd /etc/virttier && {(line.Length > 0 ? $"echo '{line}' >> virttier.yaml" : "sed -i '$d' virttier.yaml")} && "
            + "systemctl reload virttier", cancel);

    /// <summary>Where a guest's pages are, by the kernel's word.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="cancel">Ends it.</param>
    /// <param name="frames">The frames to take for its hot ones; null for those that it tells.</param>
    public async Task<Placement> PlacementAsync(DemoGuest guest, CancellationToken cancel, IReadOnlySet<int>? frames = null)
    {
        byte[] nodes = await NodesAsync(guest.Name, [], cancel);
        frames ??= await guest.HotFramesAsync(host, cancel);
        return Placement.Of(nodes, frames);
    }

    /// <summary>The node of each page of a guest, by the kernel's word, in order of frames; 255 for none.</summary>
    /// <param name="guest">Its name.</param>
    /// <param name="cells">The sizes of its NUMA cells in MiB; none for a guest without.</param>
    /// <param name="cancel">Ends it.</param>
    public async Task<byte[]> NodesAsync(string guest, IEnumerable<int> cells, CancellationToken cancel)
    {
        string file = $"{Folder}/{guest}.pages";
        await RunAsync(
            $"residency $(cat /run/libvirt/qemu/{guest}.pid) --pages /share/{file} {string.Join(' ', cells)} > /dev/null",
            cancel);
        return await File.ReadAllBytesAsync(Path.Combine(_share, file), cancel);
    }

    /// <summary>Shifts a guest's hot set and watches it, see <see cref="WatchGuestAsync"/>.</summary>
    /// <returns>The rounds before the shift, and the share of the new hot set that is in DRAM, in order of time; the first is
    /// from before the shift, as the agent may have followed it before anyone can look.</returns>
    public async Task<(long RoundsBefore, IReadOnlyList<(double HotShare, long Rounds)> Readings)> ShiftAndWatchAsync(
        PayloadDemoGuest guest, int rounds, TimeSpan limit, CancellationToken cancel)
    {
        IReadOnlySet<int> hotFrames = guest.Payload.HotFrames((await host.LogOfAsync(guest.Payload, cancel)).Shifts + 1);
        string shift = Tell(guest.Payload, PayloadGuest.ShiftCommand, answer: 'x');
        (long before, IReadOnlyList<Reading> readings) = await WatchGuestAsync(guest.Name, shift, rounds, limit, cancel);
        return (before, [.. readings.Select(r => (Placement.Of(r.Nodes, hotFrames).HotShare, r.Status.Rounds))]);
    }

    /// <summary>A script that sends a payload a byte and waits for the answer.</summary>
    public static string Tell(PayloadGuest guest, char command, char answer) => $"""
        printf {command} 1<> {EmulatedHost.GuestFolder}/{guest.Name}.com1.in
        until grep -q {answer} {guest.LogPath}; do sleep 0.1; done
        """;

    /// <summary>
    /// Has something happen to a guest, and reads before it and then again and again where its pages are and what the agent's
    /// rounds have come to; all in one script in the host, so that what happens outside of it does not count.
    /// </summary>
    /// <param name="guest">The guest's name.</param>
    /// <param name="happens">A script; may be empty.</param>
    /// <param name="rounds">Rounds after which it ends.</param>
    /// <param name="limit">Time of the host after which it ends if the rounds do not come.</param>
    /// <param name="cancel">Ends it.</param>
    /// <returns>The rounds before it, and the readings, in order of time; the first is from before it.</returns>
    public async Task<(long RoundsBefore, IReadOnlyList<Reading> Readings)> WatchGuestAsync(
        string guest, string happens, int rounds, TimeSpan limit, CancellationToken cancel)
    {
        string files = Path.Combine(_share, Folder, "watch");
        Directory.CreateDirectory(files);
        foreach (string old in Directory.GetFiles(files))
            File.Delete(old);
        Task<string> script = RunAsync($$"""
            set -e
            cd /share/{{Folder}}/watch
            pid=$(cat /run/libvirt/qemu/{{guest}}.pid) n=1
            look() {
                residency $pid --pages $n.pages > /dev/null
                grep -E '^(AnonHugePages|ShmemPmdMapped):' /proc/$pid/smaps_rollup > $n.huge
                {{AskStatus}} > status
                mv status $n.status
            }
            {{AskStatus}} > 0.status
            look
            {{happens}}
            while [ ! -e enough ]; do
                n=$((n + 1))
                look
            done
            echo $n
            """, cancel);
        HostClock clock = await host.ClockAsync(cancel);
        for (int n = 0; !script.IsCompleted && clock.Elapsed < limit; await Task.Delay(100, cancel))
        {
            while (File.Exists(Path.Combine(files, $"{n + 1}.status")))
                n++;
            if (n > 0 && (await StatusAsync(n)).Rounds - (await StatusAsync(0)).Rounds >= rounds)
                break;
        }
        await File.WriteAllTextAsync(Path.Combine(files, "enough"), "", cancel);
        int count = int.Parse(await script, CultureInfo.InvariantCulture);
        List<Reading> readings = [];
        for (int n = 1; n <= count; n++)
        {
            string[] huge = await File.ReadAllLinesAsync(Path.Combine(files, $"{n}.huge"), cancel);
            readings.Add(new Reading(
                await File.ReadAllBytesAsync(Path.Combine(files, $"{n}.pages"), cancel),
                huge.Sum(line => long.Parse(
                    line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture)) / KibibytesInBlock,
                await StatusAsync(n)));
        }
        return ((await StatusAsync(0)).Rounds, readings);

        async Task<DomainStatus> StatusAsync(int n) =>
            StatusOf(await File.ReadAllTextAsync(Path.Combine(files, $"{n}.status"), cancel))
                .Domains.Single(d => d.Name == guest);
    }

    /// <summary>The guest frames in what <c>virttier record</c> writes of a guest, harvest by harvest;
    /// its agent must have let go of it.</summary>
    public async Task<int[]> RecordAsync(DemoGuest guest, int seconds, CancellationToken cancel)
    {
        string file = $"{Folder}/{guest.Name}.vttr.gz";
        await RunAsync($"virttier record {guest.Name} /share/{file} --duration {seconds}", cancel);
        using FileStream trace = File.OpenRead(Path.Combine(_share, file));
        return [.. TraceReader.Read(trace).Select(a => (int)a.Gfn)];
    }

    public async Task<int> PidAsync(DemoGuest guest, CancellationToken cancel) =>
        int.Parse(await RunAsync($"cat /run/libvirt/qemu/{guest.Name}.pid", cancel), CultureInfo.InvariantCulture);

    /// <summary>Starts to read these processes' pages per node once a second, until the host goes down.</summary>
    public Task WatchAsync(IEnumerable<int> pids, CancellationToken cancel) =>
        RunAsync($"setsid residency --watch 1000 {string.Join(' ', pids)} > /share/{Folder}/readings 2>&1 < /dev/null &", cancel);

    /// <summary>The readings since the last call; none before <see cref="WatchAsync"/>.</summary>
    public async Task<IReadOnlyList<string>> NewReadingsAsync(CancellationToken cancel)
    {
        FileInfo readings = new(Path.Combine(_share, Folder, "readings"));
        if (!readings.Exists)
            return [];
        await using FileStream file = readings.Open(FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        file.Position = _readingsTaken;
        using StreamReader reader = new(file);
        string text = await reader.ReadToEndAsync(cancel);
        int end = text.LastIndexOf('\n') + 1;
        _readingsTaken += end;
        return text[..end].Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    /// <summary>One look at a guest.</summary>
    /// <param name="Nodes">The node of each of its pages, by the kernel's word, in order of frames; 255 for none.</param>
    /// <param name="WholeBlocks">Blocks of 2 MiB that its process has mapped as one, by the kernel's word.</param>
    /// <param name="Status">What the agent said right after.</param>
    public sealed record Reading(byte[] Nodes, long WholeBlocks, DomainStatus Status);

    private static AgentStatus StatusOf(string reply)
    {
        using JsonDocument json = JsonDocument.Parse(reply);
        return AgentStatus.FromJson(json.RootElement.GetProperty("data")[0].GetString()!);
    }

    private static async Task BuildPackagesAsync(string kernel, string destination, CancellationToken cancel)
    {
        if (s_packages.TryGetValue(kernel, out (string Name, byte[] Content)[]? built))
        {
            Directory.CreateDirectory(destination);
            foreach ((string name, byte[] content) in built)
                await File.WriteAllBytesAsync(Path.Combine(destination, name), content, cancel);
            return;
        }
        DirectoryInfo root = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(root.FullName, "VirtTier.sln")))
            root = root.Parent ?? throw new TestbedException("the demo does not run from a checkout of the repository");
        await RunHereAsync(Path.Combine(root.FullName, "testbed", "install-deps"), [$"linux-headers-{kernel}"], [], cancel);
        await RunHereAsync(Path.Combine(root.FullName, "packaging", "build-debs"), [destination],
            [("KERNEL", kernel), ("PACKAGES", "agent module")], cancel);
        List<(string, byte[])> packages = [];
        foreach (string file in Directory.GetFiles(destination, "*.deb"))
            packages.Add((Path.GetFileName(file), await File.ReadAllBytesAsync(file, cancel)));
        s_packages[kernel] = [.. packages];
    }

    private static async Task RunHereAsync(
        string program, string[] arguments, (string Name, string Value)[] environment, CancellationToken cancel)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach ((string name, string value) in environment)
            start.Environment[name] = value;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancel);
        Task<string> error = process.StandardError.ReadToEndAsync(cancel);
        await process.WaitForExitAsync(cancel);
        if (process.ExitCode != 0)
            throw new TestbedException($"{program} failed: {await output}{await error}");
    }
}
