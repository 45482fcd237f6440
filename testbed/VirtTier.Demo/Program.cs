// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Spectre.Console;
using VirtTier.Agent.Status;
using VirtTier.Demo;
using VirtTier.Testbed;

// The main job, shown: `make demo`; with the argument "sockets" that of a host with two: `make demo-sockets`. Exit code 0 when
// every check passed, 1 when one failed (each is named).
using CancellationTokenSource stop = new();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};

StatusTable.FitOutput();
Stopwatch clock = Stopwatch.StartNew();
bool sockets = args is ["sockets"];
DemoHost host = new(sockets ? EmulatedHost.Named("demo-sockets", SocketsScenario.Machine) : EmulatedHost.Named("demo"));
IReadOnlyList<Check> checks = [];
try
{
    if (AnsiConsole.Profile.Capabilities.Interactive)
        await AnsiConsole.Live(new Text("")).StartAsync(
            async live => checks = await SessionOn(new ConsoleView(live)).RunAsync(stop.Token));
    else
        checks = await SessionOn(new ConsoleView(null)).RunAsync(stop.Token);
}
catch (OperationCanceledException)
{
    AnsiConsole.WriteLine("interrupted");
    return 130;
}
catch (TestbedException e)
{
    await Console.Error.WriteLineAsync($"demo: {e.Message}");
    return 1;
}
finally
{
    await host.Host.DownAsync(CancellationToken.None);
}

DemoSession SessionOn(ConsoleView view) => sockets
    ? new DemoSession(host, view, cancel => new SocketsScenario(host, view).RunAsync(cancel))
    : new DemoSession(host, view);

Check[] failed = [.. checks.Where(c => !c.Passed)];
AnsiConsole.Write(new Rule("what was promised, and what was seen"));
foreach (Check check in checks)
{
    AnsiConsole.Write(ConsoleView.CheckLine(check));
    AnsiConsole.WriteLine();
}
AnsiConsole.WriteLine($"{checks.Count - failed.Length} of {checks.Count} checks passed in {clock.Elapsed:m\\:ss} minutes");
foreach (Check check in failed)
    await Console.Error.WriteLineAsync($"demo: failed: {check.Name}: {check.Detail}");
return failed.Length == 0 ? 0 : 1;
