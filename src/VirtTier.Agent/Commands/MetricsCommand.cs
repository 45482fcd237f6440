// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Metrics;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier metrics</c>: the agent's figures for Prometheus.</summary>
internal static class MetricsCommand
{
    // Prometheus gives a scrape ten seconds.
    private static readonly TimeSpan s_requestLimit = TimeSpan.FromSeconds(10);

    public static Command Create()
    {
        Option<FileInfo> textFile = new("--textfile")
        {
            Description = "Write to this file, for node_exporter's textfile collector; it is replaced as a whole",
            HelpName = "FILE",
        };
        Option<bool> http = new("--http")
        {
            Description = "Answer one HTTP request on the standard streams, as virttier-exporter.socket has it",
        };
        Command command = new("metrics", "Print the agent's figures in Prometheus' text format") { textFile, http };
        command.Validators.Add(result =>
        {
            if (result.GetValue(http) && result.GetValue(textFile) is not null)
                result.AddError("--http and --textfile exclude each other");
        });
        command.SetAction((result, cancel) => RunAsync(result.GetValue(textFile), result.GetValue(http), cancel));
        return command;
    }

    private static async Task<int> RunAsync(FileInfo? textFile, bool http, CancellationToken cancel)
    {
        if (!http)
        {
            AgentStatus? status = await AskAsync(cancel);
            byte[] page = await MetricsPage.RenderAsync(status, cancel);
            if (textFile is null)
            {
                await using Stream output = Console.OpenStandardOutput();
                await output.WriteAsync(page, cancel);
            }
            else if (!await ReplaceAsync(textFile, page, cancel))
            {
                return ExitCode.BadInput;
            }
            return status is null ? ExitCode.NoAgent : ExitCode.Success;
        }

        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(s_requestLimit);
        await using Stream request = Console.OpenStandardInput();
        await using Stream answer = Console.OpenStandardOutput();
        try
        {
            await HttpExchange.AnswerAsync(
                request, answer, async token => await MetricsPage.RenderAsync(await AskAsync(token), token), limit.Token);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The other side went away or said nothing: nobody is left to be answered.
        }
        return ExitCode.Success;
    }

    // An agent that does not answer is a figure, too: virttier_up is 0.
    private static async Task<AgentStatus?> AskAsync(CancellationToken cancel)
    {
        try
        {
            await using AgentClient client = AgentClient.Connect();
            return await client.GetStatusAsync(cancel);
        }
        catch (AgentUnreachableException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {e.Message}");
            return null;
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
