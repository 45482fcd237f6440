// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Demo;
using VirtTier.Testbed;

namespace VirtTier.EndToEnd.Tests;

/// <summary>One run of the demo on a host of its own.</summary>
public sealed class DemoRun : IAsyncLifetime
{
    private readonly DemoHost _host = new(EmulatedHost.Named("end-to-end"));

    /// <summary>Whether the emulator failed at each attempt, before the demo was through.</summary>
    internal bool EmulatorFailed { get; private set; }

    internal IReadOnlyList<Check> Checks { get; private set; } = [];

    public async ValueTask InitializeAsync()
    {
        CancellationToken cancel = TestContext.Current.CancellationToken;
        DemoSession session = new(_host, new Log());
        Checks = await session.RunAsync(cancel);
        EmulatorFailed = session.EmulatorFailed;
        if (Checks.Any(c => !c.Passed))
            await ShowLogsAsync(cancel);
    }

    public async ValueTask DisposeAsync() => await _host.Host.DownAsync();

    private async Task ShowLogsAsync(CancellationToken cancel)
    {
        CommandResult logs = await _host.Host.RunAsync(
            "journalctl --unit virttier --no-pager; dmesg | tail -n 30; tail -n 15 /var/log/libvirt/qemu/*.log",
            cancel: cancel);
        await Console.Error.WriteLineAsync(logs.Output + logs.Error);
        foreach (Check check in Checks.Where(c => !c.Passed))
            await Console.Error.WriteLineAsync(check.ToString());
    }

    private sealed class Log : IDemoView
    {
        public void Step(string what) => TestContext.Current.SendDiagnosticMessage(what);

        public void Trouble(string what) => Console.Error.WriteLine(what);

        public void Show(AgentStatus status)
        {
        }

        public void Show(Check check) => TestContext.Current.SendDiagnosticMessage(check.ToString());
    }
}
