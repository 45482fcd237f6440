// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Xml.Linq;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// One of the hosts that chaos is made on, with the agent's loops on it. What it tells of itself comes from virsh and the pid files;
/// what the agent thinks, from the monitor and from the samplers that are open.
/// </summary>
internal sealed class ChaosHost : IAsyncDisposable
{
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(200);

    private readonly StandInKernel _kernel = new();
    private TieredHost _tiered;

    private ChaosHost(string name, PrivateHost host)
    {
        Name = name;
        Host = host;
        _tiered = TieredHost.Of(host, _kernel, s_interval);
    }

    internal string Name { get; }

    internal PrivateHost Host { get; }

    /// <summary>Held while something on this host is restarted.</summary>
    internal SemaphoreSlim Restarting { get; } = new(1);

    internal static async Task<ChaosHost> StartAsync(string name) => new(name, await PrivateHost.StartAsync(name));

    public async ValueTask DisposeAsync()
    {
        await _tiered.DisposeAsync();
        await Host.DisposeAsync();
        _kernel.Dispose();
        Restarting.Dispose();
    }

    /// <summary>Ends the agent's loops, which has to close every sampler, and begins them anew.</summary>
    internal async Task RestartAgentAsync()
    {
        await _tiered.DisposeAsync();
        Assert.Empty(_kernel.SampledPids);
        _tiered = TieredHost.Of(Host, _kernel, s_interval);
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
        foreach (string name in (await Host.VirshAsync("list", "--name")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Order(StringComparer.Ordinal))
        {
            (int exitCode, string xml) = await Host.TryVirshAsync("dumpxml", name);
            string state = (await Host.TryVirshAsync("domstate", name)).Output.Trim();
            if (exitCode != 0 || Host.FindPid(name) is not { } pid)
                return $"virsh is not sure of {name}: {xml}";
            XElement domain = XElement.Parse(xml);
            XElement? tiering = domain.Element("metadata")?.Elements().Single();
            string mode = tiering?.Attribute("mode")?.Value ?? "enforce";
            lines.Add(Describe(name, pid, state, tiering?.Attribute("shares")?.Value, mode, (long)domain.Element("memory")!, [.. mode == "off" ? (int[])[] : [pid]]));
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
            lines.Add(Describe(
                domain.Name,
                domain.Process?.Pid,
                domain.State.ToString().ToLowerInvariant() + (domain.MigratingOut ? ", migrating" : ""),
                domain.Settings.Shares?.ToString(CultureInfo.InvariantCulture),
                (domain.Settings.Mode ?? TieringMode.Enforce).ToString().ToLowerInvariant(),
                (long)domain.MemoryBytes >> 10,
                [.. sampled.Where(pid => pid == domain.Process?.Pid)]));
            sampled.RemoveAll(pid => pid == domain.Process?.Pid);
        }
        if (sampled.Count > 0)
            lines.Add($"samplers of nobody: {string.Join(", ", sampled)}");
        return string.Join('\n', lines);
    }

    public override string ToString() => $"{Name}: {_tiered.Watched}";

    private static string Describe(string name, int? pid, string state, string? shares, string mode, long memory, int[] samplers) =>
        string.Create(CultureInfo.InvariantCulture, $"{name} pid {pid} {state} shares {shares} mode {mode} memory {memory} KiB samplers {string.Join(' ', samplers)}");
}
