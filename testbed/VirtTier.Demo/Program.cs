// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Spectre.Console;
using VirtTier.Agent.Status;
using VirtTier.Demo;
using VirtTier.Testbed;

// The main job, shown: `make demo`; with an argument the same on another kind of host: `make demo-sockets`, `demo-sockets-dram`,
// `demo-tiers`. Exit code 0 when every check passed, 1 when one failed (each is named), 2 for another argument.
using CancellationTokenSource stop = new();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};

StatusTable.FitOutput();
Stopwatch clock = Stopwatch.StartNew();
string? machine = args switch
{
    [] => "",
    ["sockets"] => SocketsScenario.Machine,
    ["sockets-dram"] => DramSocketsScenario.Machine,
    ["tiers"] => TiersScenario.Machine,
    _ => null,
};
if (machine is null)
{
    await Console.Error.WriteLineAsync($"demo: '{string.Join(' ', args)}' is none of sockets, sockets-dram, tiers");
    return 2;
}
DemoHost host = new(machine.Length > 0 ? EmulatedHost.Named($"demo-{args[0]}", machine) : EmulatedHost.Named("demo"));
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

// A scenario for each attempt.
DemoSession SessionOn(ConsoleView view) => machine switch
{
    SocketsScenario.Machine => new DemoSession(host, view, cancel => new SocketsScenario(host, view).RunAsync(cancel)),
    DramSocketsScenario.Machine => new DemoSession(host, view, cancel => new DramSocketsScenario(host, view).RunAsync(cancel)),
    TiersScenario.Machine => new DemoSession(host, view, cancel => new TiersScenario(host, view).RunAsync(cancel)),
    _ => new DemoSession(host, view),
};

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
