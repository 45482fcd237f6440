// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using VirtTier.Agent.Status;
using VirtTier.Testbed;

namespace VirtTier.Demo;

/// <summary>The emulated host with VirtTier installed in it, as the demo sees and steers it.</summary>
internal sealed class DemoHost(EmulatedHost host)
{
    private const string Folder = "demo";
    private long _readingsTaken;
    private string _share = "";

    public EmulatedHost Host => host;

    /// <summary>Boots the host.</summary>
    public async Task UpAsync(CancellationToken cancel)
    {
        await host.UpAsync(cancel);
        _share = await host.ShareAsync(cancel);
        Directory.CreateDirectory(Path.Combine(_share, Folder));
        File.Delete(Path.Combine(_share, Folder, "readings"));
    }

    /// <summary>Builds the packages for the host's kernel and installs them with dpkg, as a user would, then sets the defaults.</summary>
    public async Task InstallAsync(CancellationToken cancel)
    {
        string kernel = (await RunAsync("uname -r", cancel)).Trim();
        await BuildPackagesAsync(kernel, Path.Combine(_share, "debs"), cancel);
        await RunAsync($"""
            set -e
            dpkg --install /share/debs/virttier-module-*.deb /share/debs/virttier_*.deb
            echo 'defaults: {"{"} dram: {DemoGuests.DefaultBudget} {"}"}' > /etc/virttier/virttier.yaml
            # An emulated host works some ten times longer to move a page, so a guest there would wait ten times longer for its own.
            echo 'migration: {"{"} domain_cpu: 50% {"}"}' >> /etc/virttier/virttier.yaml
            systemctl restart virttier
            """, cancel, TimeSpan.FromMinutes(4));
    }

    /// <summary>Runs a script that must succeed, and returns its output.</summary>
    public async Task<string> RunAsync(string script, CancellationToken cancel, TimeSpan? limit = null) =>
        (await host.RunAsync(script, limit, cancel)).RequireSuccess();

    /// <summary>What the agent says; null while it is not on the bus.</summary>
    public async Task<AgentStatus?> StatusAsync(CancellationToken cancel)
    {
        CommandResult result = await host.RunAsync(
            "busctl --json=short call org.virttier.Agent1 /org/virttier/Agent1 org.virttier.Agent1 GetStatus", TimeSpan.FromSeconds(30), cancel);
        if (result.ExitCode != 0)
            return null;
        using JsonDocument reply = JsonDocument.Parse(result.Output);
        return AgentStatus.FromJson(reply.RootElement.GetProperty("data")[0].GetString()!);
    }

    /// <summary>What <c>virttier doctor</c> finds, and its exit status.</summary>
    public async Task<(int ExitCode, IReadOnlyList<DoctorLine> Lines)> ConsultDoctorAsync(CancellationToken cancel)
    {
        CommandResult result = await host.RunAsync("virttier doctor --json", cancellation: cancel);
        using JsonDocument report = JsonDocument.Parse(result.Output);
        return (result.ExitCode, [.. report.RootElement.GetProperty("findings").EnumerateArray().Select(DoctorLine.FromJson)]);
    }

    /// <summary>What the emulator did wrong, in words: the host is gone, or a payload's virtual CPU holds registers of the host. Null
    /// when neither is so, and when the host died in our module.</summary>
    public async Task<string?> EmulatorFailureAsync(CancellationToken cancel)
    {
        CommandResult lost = await host.RunAsync("for guest in $(virsh --quiet list --name); do guest-lost $guest && echo $guest; done; true", cancellation: cancel);
        if (lost.ExitCode == 0)
        {
            string[] guests = lost.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            return guests.Length == 0 ? null : $"the virtual CPU of {string.Join(", ", guests)} holds registers of the host";
        }
        // A call trace through our module is no fault of the emulator's.
        string console = await File.ReadAllTextAsync(Path.Combine(Path.GetDirectoryName(_share)!, "console.log"), cancel);
        return console.Contains("[kvm_ept_sample]", StringComparison.Ordinal) ? null : $"the host is gone or answers no more: {lost.Error.Trim()}";
    }

    /// <summary>Where a guest's pages are, by the kernel's word.</summary>
    public async Task<Placement> PlacementAsync(DemoGuest guest, CancellationToken cancel)
    {
        string file = $"{Folder}/{guest.Name}.pages";
        await RunAsync($"residency $(cat /run/libvirt/qemu/{guest.Name}.pid) --pages /share/{file} > /dev/null", cancel);
        byte[] nodes = await File.ReadAllBytesAsync(Path.Combine(_share, file), cancel);
        IReadOnlySet<int> hotFrames = await guest.HotFramesAsync(host, cancel);
        return Placement.Of(nodes, hotFrames);
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

    private static async Task BuildPackagesAsync(string kernel, string destination, CancellationToken cancel)
    {
        DirectoryInfo root = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(root.FullName, "VirtTier.sln")))
            root = root.Parent ?? throw new TestbedException("the demo does not run from a checkout of the repository");
        await RunHereAsync(Path.Combine(root.FullName, "testbed", "install-deps"), [$"linux-headers-{kernel}"], [], cancel);
        await RunHereAsync(Path.Combine(root.FullName, "packaging", "build-debs"), [destination], [("KERNEL", kernel), ("PACKAGES", "agent module")], cancel);
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
