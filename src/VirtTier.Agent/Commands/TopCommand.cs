// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using Spectre.Console;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier top</c>: the status, redrawn until it is ended by a key, or printed again and again.</summary>
internal static class TopCommand
{
    private static readonly TimeSpan s_keyInterval = TimeSpan.FromMilliseconds(50);

    public static Command Create()
    {
        Option<double> delay = NumberOption.Number("--delay", "Seconds from one picture to the next", Limits.TopDelay, 1);
        delay.Aliases.Add("-d");
        Option<bool> batch = new("--batch", "-b") { Description = "Print each picture below the last one; for logs and pipes" };
        Option<int> count = NumberOption.Whole("--count", "End after so many pictures; 0: never", Limits.TopCount, 0);
        count.Aliases.Add("-n");
        Command command = new("top", "Show the status live; h shows the keys, q ends it") { delay, batch, count };
        command.SetAction((result, cancel) => RunAsync(
            TimeSpan.FromSeconds(result.GetValue(delay)),
            result.GetValue(batch) || Console.IsOutputRedirected || Console.IsInputRedirected,
            result.GetValue(count), cancel));
        return command;
    }

    private static async Task<int> RunAsync(TimeSpan delay, bool batch, int count, CancellationToken cancel)
    {
        try
        {
            await using AgentClient client = AgentClient.Connect();
            if (batch)
                await PrintAsync(client, delay, count, cancel);
            else
                await DrawAsync(client, new TopView { Delay = delay }, count, cancel);
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Success;
        }
        catch (AgentUnreachableException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return ExitCode.NoAgent;
        }
        return ExitCode.Success;
    }

    private static async Task PrintAsync(AgentClient client, TimeSpan delay, int count, CancellationToken cancel)
    {
        int width = AnsiConsole.Profile.Width;
        for (int picture = 1; ; picture++)
        {
            AgentStatus status = await client.GetStatusAsync(cancel);
            AnsiConsole.Profile.Width = width; // which the complaints of the last one have changed
            StatusTable.WriteTo(AnsiConsole.Console, status);
            if (picture == count)
                return;
            Console.WriteLine();
            await Task.Delay(delay, cancel);
        }
    }

    private static async Task DrawAsync(AgentClient client, TopView view, int count, CancellationToken cancel)
    {
        view.Status = await client.GetStatusAsync(cancel);
        int pictures = 1;
        long drawn = Environment.TickCount64;
        await AnsiConsole.Live(view.Render()).StartAsync(async live =>
        {
            while (!view.IsEnded && (count == 0 || pictures < count))
            {
                await Task.Delay(s_keyInterval, cancel);
                bool pressed = false;
                for (; Console.KeyAvailable; pressed = true)
                    view.Press(Console.ReadKey(intercept: true));
                bool due = !view.IsPaused && Environment.TickCount64 - drawn >= view.Delay.TotalMilliseconds;
                if (due)
                {
                    view.Status = await client.GetStatusAsync(cancel);
                    pictures++;
                }
                if (!due && !pressed)
                    continue;
                view.Detail = await DetailAsync(client, view, cancel);
                live.UpdateTarget(view.Render());
                drawn = due ? Environment.TickCount64 : drawn;
            }
        });
    }

    private static async Task<DomainDetail?> DetailAsync(AgentClient client, TopView view, CancellationToken cancel)
    {
        try
        {
            return view.DetailOf is { } domain ? await client.GetDetailAsync(domain.Full, cancel) : null;
        }
        catch (NotKnownException)
        {
            return null; // it has just stopped
        }
    }
}
