// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Spectre.Console;
using VirtTier.Agent.Status;
using VirtTier.Demo;
using VirtTier.Testbed;

// The main job, shown: `make demo`; with an argument the same on another kind of host: `make demo-sockets`, `demo-sockets-dram`,
// `demo-tiers`, `demo-splits`. Exit code 0 when every check passed, 1 when one failed (each is named), 2 for another argument.
using CancellationTokenSource stop = new();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};

StatusTable.FitOutput();
Stopwatch clock = Stopwatch.StartNew();
if (DemoKind.All.FirstOrDefault(known => known.Name == string.Join(' ', args)) is not { } kind)
{
    string names = string.Join(", ", DemoKind.All.Select(known => known.Name).Where(name => name.Length > 0));
    await Console.Error.WriteLineAsync($"demo: '{string.Join(' ', args)}' is none of {names}");
    return 2;
}
DemoHost host = new(EmulatedHost.Named(kind.Name.Length > 0 ? $"demo-{kind.Name}" : "demo", kind.Machine));
IReadOnlyList<Check> checks = [];
try
{
    if (AnsiConsole.Profile.Capabilities.Interactive)
        await AnsiConsole.Live(new Text("")).StartAsync(
            async live => checks = await new DemoSession(kind, host, new ConsoleView(live)).RunAsync(stop.Token));
    else
        checks = await new DemoSession(kind, host, new ConsoleView(null)).RunAsync(stop.Token);
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
