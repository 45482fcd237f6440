// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using Spectre.Console;
using VirtTier.Agent.Status;
using VirtTier.Demo;
using VirtTier.Testbed;

// The main job, shown: `make demo`. Exit code 0 when every check passed, 1 when one failed (each is named).
using CancellationTokenSource stop = new();
Console.CancelKeyPress += (_, e) =>
{
    e.Cancel = true;
    stop.Cancel();
};

StatusTable.FitOutput();
Stopwatch clock = Stopwatch.StartNew();
DemoHost host = new(EmulatedHost.Named("demo"));
IReadOnlyList<Check> checks = [];
try
{
    if (AnsiConsole.Profile.Capabilities.Interactive)
        await AnsiConsole.Live(new Text("")).StartAsync(
            async live => checks = await new DemoSession(host, new ConsoleView(live)).RunAsync(stop.Token));
    else
        checks = await new DemoSession(host, new ConsoleView(null)).RunAsync(stop.Token);
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
