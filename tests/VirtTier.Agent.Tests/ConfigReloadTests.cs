// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Configuration;

namespace VirtTier.Agent.Tests;

public sealed class ConfigReloadTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public async Task What_goes_wrong_while_it_is_put_in_force_is_a_failed_reload_and_the_next_one_works()
    {
        int applied = 0;
        using ConfigReload reload = new(
            _path,
            _ => ++applied == 1 ? throw new IOException("node0 is gone") : Task.CompletedTask,
            new LoopWatch(TimeProvider.System, NullLogger.Instance),
            NullLogger.Instance);

        ConfigException error = await Assert.ThrowsAsync<ConfigException>(reload.RunAsync);
        Assert.Equal($"{_path}: cannot be put in force: node0 is gone", error.Message);

        await reload.RunAsync();
        Assert.Equal(2, applied);
    }
}
