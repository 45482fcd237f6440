// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Tests.Host;

/// <summary>A private host with the real agent on it, and its tool run there.
/// The kernel module is not: nothing is sampled.</summary>
public sealed class AgentHost : IAsyncLifetime
{
    private static readonly string s_program = Path.Combine(AppContext.BaseDirectory, "virttier");

    private string _config = "";
    private string _state = "";

    internal PrivateHost Host { get; private set; } = null!;

    internal Daemon Agent { get; private set; } = null!;

    /// <summary>The configuration file of the agent.</summary>
    internal string ConfigFile => _config;

    public async ValueTask InitializeAsync()
    {
        Host = await PrivateHost.StartAsync("agent");
        HostRing.RequirePrograms("busctl", "setpriv", "timeout");
        _state = await Host.WriteFileAsync("state-of-agent", "") + ".d";
        // libvirt empties the environment of its hooks, so that busctl looks for the bus where it always is.
        Directory.CreateDirectory(InHost("/run/dbus"));
        File.CreateSymbolicLink(InHost("/run/dbus/system_bus_socket"), Host.Bus.Address["unix:path=".Length..]);
        await ConfigureAsync("pool: { dram: 128MiB }\n");
        await StartAgentAsync();
    }

    public async ValueTask DisposeAsync()
    {
        Agent?.Dispose();
        if (Host is not null)
            await Host.DisposeAsync();
    }

    /// <summary>The settings that the agent would know again after a restart.</summary>
    internal string SavedSettings => File.ReadAllText(Path.Combine(_state, "settings.json"));

    /// <summary>Where a path of the host's own mount namespace is.</summary>
    internal string InHost(string path) => string.Create(CultureInfo.InvariantCulture, $"/proc/{Host.Libvirtd.Pid}/root{path}");

    internal async Task ConfigureAsync(string yaml) => _config = await Host.WriteFileAsync("virttier.yaml", yaml);

    internal async Task StartAgentAsync()
    {
        Agent = Host.StartInside("virttier-agent", "env", "STATE_DIRECTORY=" + _state, s_program, "agent", "--config", _config);
        await Eventually.IsTrue(
            async () =>
            {
                Assert.False(Agent.HasEnded, "the agent has ended");
                return await TryStatusAsync() is { Libvirt.Connected: true };
            },
            () => "the agent does not come up");
    }

    internal async Task<AgentStatus> StatusAsync() => (await TryStatusAsync())!;

    /// <summary>Waits until a domain's status is as told.</summary>
    internal async Task<DomainStatus> UntilAsync(string domain, Func<DomainStatus, bool> condition)
    {
        DomainStatus? Find(AgentStatus status) => status.Domains.FirstOrDefault(d => d.Name == domain);
        return Find(await UntilAsync(status => Find(status) is { } found && condition(found)))!;
    }

    /// <summary>Waits until the agent's status is as told.</summary>
    internal async Task<AgentStatus> UntilAsync(Func<AgentStatus, bool> condition)
    {
        AgentStatus? status = null;
        await Eventually.IsTrue(async () => condition(status = await StatusAsync()), () => status!.ToJson());
        return status!;
    }

    /// <summary>Runs the tool on the host.</summary>
    internal Task<(int ExitCode, string Output, string Errors)> ToolAsync(params string[] arguments) =>
        RunAsync([s_program, .. arguments]);

    /// <summary>Runs the tool on the host; fails the test when it fails.</summary>
    internal async Task<string> ToolOkAsync(params string[] arguments)
    {
        (int exitCode, string output, string errors) = await ToolAsync(arguments);
        Assert.True(exitCode == 0, $"virttier {string.Join(' ', arguments)}: {exitCode} {output} {errors}");
        return output.Trim();
    }

    /// <summary>Runs a program in the host's namespace and on its bus.</summary>
    internal async Task<(int ExitCode, string Output, string Errors)> RunAsync(params string[] command)
    {
        string pid = Host.Libvirtd.Pid.ToString(CultureInfo.InvariantCulture);
        ProcessStartInfo start = new("nsenter", ["--target", pid, "--mount", "--uts", .. command])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["DBUS_SYSTEM_BUS_ADDRESS"] = Host.Bus.Address },
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, output, await errors);
    }

    private async Task<AgentStatus?> TryStatusAsync()
    {
        (int exitCode, string output, _) = await ToolAsync("status", "--json");
        return exitCode is 0 or 1 ? AgentStatus.FromJson(output) : null;
    }
}
