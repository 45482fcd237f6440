// SPDX-License-Identifier: Apache-2.0
using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Configuration;
using VirtTier.Libvirt.Settings;

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

    [Theory]
    [InlineData("pool: {dram: 10000000TiB}")]
    [InlineData("defaults: {dram: 10000000TiB}")]
    [InlineData("libvirt: {heartbeat: 999999999999999s}")]
    [InlineData("libvirt: {heartbeat: NaNs}")]
    [InlineData("libvirt: {heartbeat: Infinitys}")]
    [InlineData("{&x [*x]: 0, &y [*y]: 1}")]
    [InlineData("tiers: {fast: [0]}")]
    [InlineData("tiers: {fast: [0], slow: [0]}")]
    [InlineData("tiers: {fast: [0, 0], slow: [1]}")]
    [InlineData("tiers: {fast: [], slow: [1]}")]
    [InlineData("\0\0\0\0")]
    [InlineData("[")]
    public async Task What_cannot_be_used_changes_nothing_and_what_comes_after_it_is_put_in_force(string text)
    {
        List<AgentConfig> applied = [];
        using ConfigReload reload = new(
            _path,
            config =>
            {
                applied.Add(config);
                return Task.CompletedTask;
            },
            new LoopWatch(TimeProvider.System, NullLogger.Instance),
            NullLogger.Instance);

        foreach (string bad in (string[])[text, string.Concat(Enumerable.Repeat(text, 100_000 / text.Length))])
        {
            File.WriteAllText(_path, bad);
            ConfigException error = await Assert.ThrowsAsync<ConfigException>(reload.RunAsync);
            Assert.Matches($"^{Regex.Escape(_path)}:[0-9]+:[0-9]+: ", error.Message);
            Assert.Empty(applied);
        }

        File.WriteAllText(_path, "pool: {dram: 1GiB}");
        await reload.RunAsync();
        Assert.Equal(SizeSpec.Parse("1GiB"), Assert.Single(applied).Pool);
    }
}
