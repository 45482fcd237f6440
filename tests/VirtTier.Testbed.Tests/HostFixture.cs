// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Testbed.Tests;

/// <summary>One emulated host for all tests of the ring: up before the first, down after the last.</summary>
public sealed class HostFixture : IAsyncLifetime
{
    public EmulatedHost Host { get; } = EmulatedHost.Named("testbed-tests");

    public async ValueTask InitializeAsync() => await Host.UpAsync(cancel: TestContext.Current.CancellationToken);

    public async ValueTask DisposeAsync() => await Host.DownAsync(CancellationToken.None);

    /// <summary>Runs a command that must succeed and gives its output.</summary>
    public async Task<string> RunAsync(string command) =>
        (await Host.RunAsync(command, cancel: TestContext.Current.CancellationToken)).RequireSuccess();

    /// <summary>Waits for what the host will do in its own time, two minutes of which it may take.</summary>
    public static async Task EventuallyAsync(EmulatedHost host, Func<Task<bool>> holds, string what)
    {
        HostClock clock = await host.ClockAsync(TestContext.Current.CancellationToken);
        while (!await holds())
        {
            Assert.False(clock.Elapsed > TimeSpan.FromMinutes(2), $"not within two minutes: {what}");
            await Task.Delay(TimeSpan.FromMilliseconds(300), TestContext.Current.CancellationToken);
        }
    }
}

[CollectionDefinition(Name)]
public sealed class HostGroup : ICollectionFixture<HostFixture>
{
    public const string Name = "emulated host";
}
