// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Agent.Metrics;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier metrics</c>: the agent's figures for Prometheus.</summary>
internal static class MetricsCommand
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    // All is answered from memory. Prometheus gives a scrape ten seconds, and some give it five.
    private static readonly TimeSpan s_scrapePatience = TimeSpan.FromSeconds(3);

    public static Command Create()
    {
        Option<FileInfo> textFile = new("--textfile")
        {
            Description = "Write to this file, for node_exporter's textfile collector; it is replaced as a whole",
            HelpName = "FILE",
        };
        Option<bool> serve = new("--serve")
        {
            Description = "Answer scrapes on the sockets that systemd hands over, as virttier-exporter.socket has it",
        };
        Command command = new("metrics", "Print the agent's figures in Prometheus' text format") { textFile, serve };
        command.Validators.Add(result =>
        {
            if (result.GetValue(serve) && result.GetValue(textFile) is not null)
                result.AddError("--serve and --textfile exclude each other");
        });
        command.SetAction((result, cancel) =>
            result.GetValue(serve) ? ServeAsync(cancel) : RunAsync(result.GetValue(textFile), cancel));
        return command;
    }

    private static async Task<int> RunAsync(FileInfo? textFile, CancellationToken cancel)
    {
        (byte[] page, bool answered) = await new MetricsSource(Console.Error, s_patience).ReadAsync(cancel);
        if (textFile is null)
        {
            await using Stream output = Console.OpenStandardOutput();
            await output.WriteAsync(page, cancel);
        }
        else if (!await ReplaceAsync(textFile, page, cancel))
        {
            return ExitCode.BadInput;
        }
        return answered ? ExitCode.Success : ExitCode.NoAgent;
    }

    private static async Task<int> ServeAsync(CancellationToken cancel)
    {
        try
        {
            ScrapeServer server = new(new MetricsSource(Console.Error, s_scrapePatience).PageAsync, ScrapeLimits.Usual);
            await server.RunAsync(InheritedSockets.Take(), cancel);
            return ExitCode.Success;
        }
        catch (ActivationException e)
        {
            await Console.Error.WriteLineAsync($"virttier: --serve: {e.Message}");
            return ExitCode.BadInput;
        }
    }

    private static async Task<bool> ReplaceAsync(FileInfo file, byte[] page, CancellationToken cancel)
    {
        // The collector reads files that end in .prom only.
        string work = file.FullName + ".new";
        try
        {
            await File.WriteAllBytesAsync(work, page, cancel);
            File.Move(work, file.FullName, overwrite: true);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"virttier: --textfile: {file.FullName} cannot be written: {e.Message}");
            return false;
        }
    }
}
