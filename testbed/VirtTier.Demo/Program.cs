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
    // An earlier demo that was interrupted may have left its host, with guests in who knows what state.
    await host.Host.DownAsync(stop.Token);
    if (AnsiConsole.Profile.Capabilities.Interactive)
        await AnsiConsole.Live(new Text("")).StartAsync(async live => checks = await RunAsync(new ConsoleView(live)));
    else
        checks = await RunAsync(new ConsoleView(null));
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

async Task<IReadOnlyList<Check>> RunAsync(ConsoleView view)
{
    view.Step("booting an emulated host: AMD, two NUMA nodes, systemd, libvirt");
    await host.UpAsync(stop.Token);
    view.Step("building and installing the packages of the kernel module and of the agent");
    await host.InstallAsync(stop.Token);
    return await new Scenario(host, view).RunAsync(stop.Token);
}
