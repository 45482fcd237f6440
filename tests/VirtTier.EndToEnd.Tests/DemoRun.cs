// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Demo;
using VirtTier.Testbed;

namespace VirtTier.EndToEnd.Tests;

/// <summary>One run of the demo on a host of its own.</summary>
public sealed class DemoRun : IAsyncLifetime
{
    // The emulator itself has killed a host now and then; see testbed/tools/kvm-keeper.c.
    private const int MostAttempts = 3;

    private readonly DemoHost _host = new(EmulatedHost.Named("end-to-end"));

    /// <summary>Whether the host died of the emulator, at each attempt, before the demo was through.</summary>
    internal bool HostDied { get; private set; }

    internal IReadOnlyList<Check> Checks { get; private set; } = [];

    public async ValueTask InitializeAsync()
    {
        CancellationToken cancel = TestContext.Current.CancellationToken;
        for (int attempt = 1; ; attempt++)
        {
            await _host.Host.DownAsync(cancel);
            await _host.UpAsync(cancel);
            // What an earlier host showed does not count for this one.
            Checks = [];
            try
            {
                await _host.InstallAsync(cancel);
                Checks = await new Scenario(_host, new Log()).RunAsync(cancel);
                HostDied = await HostDiedAsync(cancel);
            }
            catch (TestbedException e)
            {
                await Console.Error.WriteLineAsync(e.Message);
                HostDied = await HostDiedAsync(cancel);
                if (!HostDied)
                    throw;
            }
            bool wentThrough = !HostDied && Checks.All(c => Scenario.CheckNames.Contains(c.Name));
            if (!HostDied && Checks.Any(c => !c.Passed))
                await ShowLogsAsync(cancel);
            if (attempt == MostAttempts || wentThrough)
                break;
            await Console.Error.WriteLineAsync(HostDied
                ? "THE EMULATED HOST DIED: once more on a fresh one; see console.log.before"
                : "THE DEMO BROKE OFF, A GUEST OR THE HOST DID NOT ANSWER: once more on a fresh host");
        }
    }

    public async ValueTask DisposeAsync() => await _host.Host.DownAsync();

    private async Task ShowLogsAsync(CancellationToken cancel)
    {
        CommandResult logs = await _host.Host.RunAsync(
            "journalctl --unit virttier --no-pager; dmesg | tail -n 30; tail -n 15 /var/log/libvirt/qemu/*.log", cancellation: cancel);
        await Console.Error.WriteLineAsync(logs.Output + logs.Error);
        foreach (Check check in Checks.Where(c => !c.Passed))
            await Console.Error.WriteLineAsync(check.ToString());
    }

    private async Task<bool> HostDiedAsync(CancellationToken cancel)
    {
        CommandResult alive = await _host.Host.RunAsync("true", cancellation: cancel);
        if (alive.ExitCode == 0)
            return false;
        await Console.Error.WriteLineAsync(alive.Error);
        // A call trace through our module is no fault of the emulator's.
        string run = Path.GetDirectoryName(await _host.Host.ShareAsync(cancel))!;
        string console = await File.ReadAllTextAsync(Path.Combine(run, "console.log"), cancel);
        return !console.Contains("[kvm_ept_sample]", StringComparison.Ordinal);
    }

    private sealed class Log : IDemoView
    {
        public void Step(string what) => TestContext.Current.SendDiagnosticMessage(what);

        public void Show(AgentStatus status)
        {
        }

        public void Show(Check check) => TestContext.Current.SendDiagnosticMessage(check.ToString());
    }
}
