// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging.Abstractions;

namespace VirtTier.Agent.Tests;

public class AgentLoopsTests
{
    private static readonly Func<CancellationToken, Task> s_endless = token => Task.Delay(Timeout.Infinite, token);

    private static WatchedLoop Watch(string does) =>
        new LoopWatch(TimeProvider.System, NullLogger.Instance).Add(does, LoopWatch.UsualLimit);

    [Fact]
    public async Task A_loop_that_fails_ends_the_agent_and_the_other_loops()
    {
        CancellationToken seen = default;
        InvalidOperationException error = await Assert.ThrowsAsync<InvalidOperationException>(() => AgentLoops.RunAsync(
            TestContext.Current.CancellationToken,
            (Watch("following"), token => s_endless(seen = token)),
            (Watch("dividing"), _ => throw new ArgumentException("bad pool"))));
        Assert.Equal("a loop of the agent ended (dividing): bad pool", error.Message);
        Assert.True(seen.IsCancellationRequested);
    }

    [Fact]
    public async Task A_loop_that_returns_has_failed_too()
    {
        InvalidOperationException error = await Assert.ThrowsAsync<InvalidOperationException>(() => AgentLoops.RunAsync(
            TestContext.Current.CancellationToken, (Watch("following"), s_endless),
            (Watch("dividing"), _ => Task.CompletedTask)));
        Assert.Equal("a loop of the agent ended (dividing): without an error", error.Message);
    }

    [Fact]
    public async Task Told_to_stop_it_stops_without_an_error_of_its_own()
    {
        using CancellationTokenSource stop = new();
        Task running = AgentLoops.RunAsync(stop.Token, (Watch("following"), s_endless), (Watch("dividing"), s_endless));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }
}
