// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Status;
using VirtTier.Demo;
using VirtTier.Testbed;

namespace VirtTier.EndToEnd.Tests;

/// <summary>One run of a demo on a host of its own.</summary>
public abstract class DemoRun : IAsyncLifetime
{
    private readonly DemoHost _host;
    private readonly DemoSession _session;

    private protected DemoRun(DemoKind kind)
    {
        _host = new DemoHost(EmulatedHost.Named("end-to-end", kind.Machine));
        _session = new DemoSession(kind, _host, new Log());
    }

    /// <summary>Whether the emulator failed at each attempt, before the demo was through.</summary>
    internal bool EmulatorFailed { get; private set; }

    internal IReadOnlyList<Check> Checks { get; private set; } = [];

    public async ValueTask InitializeAsync()
    {
        CancellationToken cancel = TestContext.Current.CancellationToken;
        Checks = await _session.RunAsync(cancel);
        EmulatorFailed = _session.EmulatorFailed;
        if (Checks.Any(c => !c.Passed))
            await ShowLogsAsync(cancel);
    }

    public async ValueTask DisposeAsync()
    {
        await _host.Host.DownAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Passes if a check did. Where the emulator failed at each attempt, what was not seen is no failure.</summary>
    internal void Require(string name)
    {
        Assert.SkipWhen(
            EmulatorFailed && !Checks.Any(c => c.Name == name && c.Passed), $"{name}: the emulator failed in three attempts");
        Check check = Assert.Single(Checks, c => c.Name == name);
        Assert.True(check.Passed, $"{check.Name}: {check.Detail}");
    }

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
