// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Metrics;

/// <summary>Makes pages of metrics from what the agent says. That it says nothing is a figure, too, and soon known.</summary>
/// <param name="errors">Gets a line when the agent does not answer, and why; once for each cause in a row.</param>
/// <param name="limit">How long the agent has to answer.</param>
internal sealed class MetricsSource(TextWriter errors, TimeSpan limit)
{
    private string? _problem;

    /// <summary>The page as of now.</summary>
    /// <param name="cancel">Ends it.</param>
    public async Task<byte[]> PageAsync(CancellationToken cancel) => (await ReadAsync(cancel)).Page;

    /// <summary>The page as of now, and whether the agent answered.</summary>
    /// <param name="cancel">Ends it.</param>
    public async Task<(byte[] Page, bool Answered)> ReadAsync(CancellationToken cancel)
    {
        byte[]? page = null;
        string? problem = null;
        try
        {
            page = await MetricsPage.RenderAsync(await AskAsync(cancel), cancel);
        }
        catch (AgentUnreachableException e)
        {
            problem = e.Message;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            problem = $"the agent did not answer within {limit.TotalSeconds:0} s; see: journalctl -u virttier";
        }
        // A field that is missing shows where it is read.
        catch (Exception e) when (e is JsonException or NullReferenceException or ArgumentNullException)
        {
            problem = $"the agent's answer is not understood, is it of another version than this? ({e.Message})";
        }
        if (problem is not null && problem != _problem)
            await errors.WriteLineAsync($"virttier: {problem}");
        _problem = problem;
        return (page ?? await MetricsPage.RenderAsync(null, cancel), page is not null);
    }

    private async Task<AgentStatus> AskAsync(CancellationToken cancel)
    {
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        end.CancelAfter(limit);
        await using AgentClient client = AgentClient.Connect();
        return await client.GetStatusAsync(end.Token);
    }
}
