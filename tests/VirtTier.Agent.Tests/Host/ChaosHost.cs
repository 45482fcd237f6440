// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Xml.Linq;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// One of the hosts that chaos is made on, with the agent's loops on it. What it tells of itself comes from virsh and the pid
/// files; what the agent thinks, from the monitor and from the samplers that are open.
/// </summary>
internal sealed class ChaosHost : IAsyncDisposable
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(200);

    /// <summary>Refuses domains of this name, before or after their QEMU runs, as the third letter says.</summary>
    private const string Hook = "case $1/$2 in nop*/prepare | nos*/started) exit 1 ;; esac\n";

    private readonly StandInKernel _kernel = new();
    private readonly SystemdDouble? _systemd;
    private readonly LibvirtSource _source;
    private TieredHost _tiered;

    private ChaosHost(string name, PrivateHost host, SystemdDouble? systemd, LibvirtSource source)
    {
        Name = name;
        Host = host;
        _systemd = systemd;
        _source = source;
        _tiered = TieredHost.Of(host, _kernel, s_interval, _source);
    }

    /// <summary>A value of <c>shares</c> that is none.</summary>
    internal const string BadShares = "many";

    internal string Name { get; }

    internal PrivateHost Host { get; }

    /// <summary>Held while something on this host is restarted.</summary>
    internal SemaphoreSlim Restarting { get; } = new(1);

    /// <param name="name">Its name.</param>
    /// <param name="machined">Whether it has systemd-machined, to which libvirtd then registers each domain.</param>
    /// <param name="source">How the agent learns of domains.</param>
    internal static async Task<ChaosHost> StartAsync(string name, bool machined, LibvirtSource source)
    {
        PrivateHost host = await PrivateHost.StartAsync(name, Hook);
        SystemdDouble? systemd = machined ? new SystemdDouble(host.Bus.Address) : null;
        if (machined)
            await host.StartMachinedAsync();
        return new(name, host, systemd, source);
    }

    public async ValueTask DisposeAsync()
    {
        await _tiered.DisposeAsync();
        await Host.DisposeAsync();
        if (_systemd is not null)
            await _systemd.DisposeAsync();
        _kernel.Dispose();
        Restarting.Dispose();
    }

    /// <summary>Ends the agent's loops, which has to close every sampler, and begins them anew.</summary>
    internal async Task RestartAgentAsync()
    {
        await _tiered.DisposeAsync();
        Assert.Empty(_kernel.SampledPids);
        _tiered = TieredHost.Of(Host, _kernel, s_interval, _source);
    }

    /// <summary>The names of the domains that run, or of those that do not; none while libvirtd is away.</summary>
    internal async Task<string[]> ListAsync(bool running)
    {
        (int exitCode, string output) = await Host.TryVirshAsync(["list", "--name", .. running ? (string[])[] : ["--inactive"]]);
        return exitCode == 0 ? output.Split('\n', StringSplitOptions.RemoveEmptyEntries) : [];
    }

    /// <summary>What virsh and the pid files say, or why they are not sure.</summary>
    internal async Task<string> ReadTruthAsync()
    {
        List<string> lines = [];
        foreach (string name in (await Host.VirshAsync("list", "--name")).Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Order(StringComparer.Ordinal))
        {
            (int exitCode, string xml) = await Host.TryVirshAsync("dumpxml", name);
            string state = (await Host.TryVirshAsync("domstate", name)).Output.Trim();
            if (exitCode != 0 || Host.FindPid(name) is not { } pid)
                return $"virsh is not sure of {name}: {xml}";
            XElement domain = XElement.Parse(xml);
            XElement? tiering = domain.Element("metadata")?.Elements().SingleOrDefault(
                e => e.Name.NamespaceName == TieringSettings.MetadataNamespace);
            string mode = tiering?.Attribute("mode")?.Value ?? "enforce";
            // What a virtio-mem has not plugged in is no memory yet, though libvirt counts it.
            long memory = (long)domain.Element("memory")! - domain.Descendants("memory")
                .Where(device => (string?)device.Attribute("model") == "virtio-mem")
                .Sum(
                    device => (long)device.Element("target")!.Element("size")!
                        - (long)device.Element("target")!.Element("current")!);
            lines.Add(tiering?.Attribute("shares")?.Value == BadShares
                ? DescribeBad(name, pid, state, memory)
                : Describe(name, pid, state, tiering?.Attribute("shares")?.Value, mode, memory,
                    [.. mode == "off" ? (int[])[] : [pid]]));
        }
        return string.Join('\n', lines);
    }

    /// <summary>What the agent thinks and has open.</summary>
    internal string ReadPicture()
    {
        List<int> sampled = [.. _kernel.SampledPids];
        List<string> lines = [];
        foreach (RunningDomain domain in _tiered.Watched.Monitor.Current.Domains)
        {
            string state = domain.State.ToString().ToLowerInvariant() + (domain.MigratingOut ? ", migrating" : "");
            long memory = (long)domain.MemoryBytes >> 10;
            lines.Add(domain.SettingsProblems.Count > 0
                ? DescribeBad(domain.Name, domain.Process?.Pid, state, memory)
                : Describe(
                    domain.Name,
                    domain.Process?.Pid,
                    state,
                    domain.Settings.Shares?.ToString(CultureInfo.InvariantCulture),
                    (domain.Settings.Mode ?? TieringMode.Enforce).ToString().ToLowerInvariant(),
                    memory,
                    [.. sampled.Where(pid => pid == domain.Process?.Pid)]));
            sampled.RemoveAll(pid => pid == domain.Process?.Pid);
        }
        if (sampled.Count > 0)
            lines.Add($"samplers of nobody: {string.Join(", ", sampled)}");
        return string.Join('\n', lines);
    }

    public override string ToString() => $"{Name}: {_tiered.Watched}";

    /// <summary>With settings that cannot be used the last good ones hold, of which virsh knows nothing.</summary>
    private static string DescribeBad(string name, int? pid, string state, long memory) =>
        string.Create(CultureInfo.InvariantCulture, $"{name} pid {pid} {state} memory {memory} KiB, bad settings");

    private static string Describe(
        string name, int? pid, string state, string? shares, string mode, long memory, int[] samplers) =>
        string.Create(
            CultureInfo.InvariantCulture,
            $"{name} pid {pid} {state} shares {shares} mode {mode} memory {memory} KiB samplers {string.Join(' ', samplers)}");
}
