// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Libvirt.Settings;

namespace VirtTier.Agent.Tests;

public sealed class ConfigReaderTests
{
    [Fact]
    public void Everything_that_may_be_said_is_read()
    {
        AgentConfig config = Read("""
            defaults:
              dram: 25%
              min: 64MiB
              shares: 200
              mode: observe
              rate: 50MiB/s
            pool: { dram: 64GiB }
            sampling:
              interval: 100ms
              harvests_per_round: 8
              domain_cpu: 2.5%
              fault_rate: 20
            tiers:
              fast: [0, 1]
              slow: [2]
              write_weight: 2.5
            migration:
              domain_rate: 10MiB/s
              domain_cpu: 20%
              host_rate: 40MiB/s
            libvirt:
              heartbeat: 5s
            hook:
              admission_control: on
            """);

        Assert.Equal(SizeSpec.Parse("25%"), config.Defaults.Dram);
        Assert.Equal(SizeSpec.Parse("64MiB"), config.Defaults.Min);
        Assert.Equal(200, config.Defaults.Shares);
        Assert.Equal(TieringMode.Observe, config.Defaults.Mode);
        Assert.Equal(50UL << 20, config.Defaults.Rate!.Value.BytesPerSecond);
        Assert.Equal(SizeSpec.Parse("64GiB"), config.Pool);
        Assert.Equal(TimeSpan.FromMilliseconds(100), config.HarvestInterval);
        Assert.Equal(new SamplingPace(TimeSpan.FromMilliseconds(100), 8, 0.025, 20), config.Sampling);
        Assert.Equal(2.5, config.WriteWeight);
        Assert.Equal([0, 1], config.FastNodes!);
        Assert.Equal([2], config.SlowNodes!);
        Assert.Equal(10UL << 20, config.DomainRate.BytesPerSecond);
        Assert.Equal(0.2, config.MoveCpuShare);
        Assert.Equal(40UL << 20, config.HostRate.BytesPerSecond);
        Assert.Equal(TimeSpan.FromSeconds(5), config.Heartbeat);
        Assert.True(config.AdmissionControl);
    }

    [Theory]
    [InlineData("")]
    [InlineData("# nothing but a comment\n")]
    [InlineData("sampling:\n")]
    public void What_is_left_out_has_its_default(string text) => Assert.Equal(new AgentConfig(), Read(text));

    [Fact]
    public void A_file_that_does_not_exist_means_all_defaults() =>
        Assert.Equal(new AgentConfig(), ConfigReader.ReadFile("/nonexistent/virttier.yaml"));

    [Theory]
    [InlineData("sampling:\n  intervall: 1s\n", "t.yaml:2:3: unknown key 'intervall' in 'sampling'; known: interval, harvests_per_round")]
    [InlineData("polling: 3\n", "t.yaml:1:1: unknown key 'polling'; known: defaults, sampling, tiers, migration, pool, libvirt, hook")]
    [InlineData("defaults:\n  dram: 2\n", "t.yaml:2:9: defaults.dram: '2' has no unit")]
    [InlineData("defaults:\n  mode: fast\n", "t.yaml:2:9: defaults.mode: 'fast' is not a mode")]
    [InlineData("defaults:\n  dram: 1GiB\n  min: 3GiB\n  max: 2GiB\n", "t.yaml:3:8: defaults.min: min is 3GiB, above max")]
    [InlineData("sampling:\n  interval: 250\n", "t.yaml:2:13: '250' must be a time with its unit, from 10ms to 60s")]
    [InlineData("sampling:\n  interval: 5ms\n", "t.yaml:2:13: '5ms' must be a time with its unit, from 10ms to 60s")]
    [InlineData("sampling:\n  harvests_per_round: none\n", "t.yaml:2:23: 'none' must be a whole number from 1 to 64")]
    [InlineData("tiers:\n  write_weight: 0.1\n", "t.yaml:2:17: '0.1' must be a number from 0.25 to 4")]
    [InlineData("sampling:\n  fault_rate: -1\n", "t.yaml:2:15: '-1' must be a whole number from 0 to 1000")]
    [InlineData("sampling:\n  domain_cpu: 5\n", "t.yaml:2:15: '5' must be a share of one CPU from 0.1% to 100%, such as 5%")]
    [InlineData("tiers:\n  fast: 0\n", "t.yaml:2:9: must be a list of NUMA node numbers")]
    [InlineData("pool:\n  dram: auto\n", "t.yaml:2:9: 'auto' is not a size for the pool")]
    [InlineData("migration:\n  host_rate: 200MiB\n", "t.yaml:2:14: '200MiB' is not a rate")]
    [InlineData("hook:\n  admission_control: maybe\n", "t.yaml:2:22: 'maybe' must be on or off")]
    [InlineData("sampling: [1]\n", "t.yaml:1:11: 'sampling' must be a block")]
    [InlineData("sampling: {\n", "t.yaml:2:1: not valid YAML")]
    [InlineData("pool: {}\n---\npool: {}\n", "t.yaml:3:1: a second YAML document")]
    public void What_cannot_be_used_is_named_with_its_place(string text, string message) =>
        Assert.StartsWith(message, Assert.Throws<ConfigException>(() => Read(text)).Message, StringComparison.Ordinal);

    [Fact]
    public void The_packaged_configuration_states_the_defaults()
    {
        string packaged = File.ReadAllText(Path.Combine(Repository.Root, "packaging", "virttier.yaml"));
        Assert.Equal(new AgentConfig(), Read(packaged));

        // Every shown value is the default: with the comment signs of the settings taken away it must say the same.
        string shown = string.Join('\n', packaged.Split('\n').Where(l => !l.StartsWith("# ", StringComparison.Ordinal) || l.StartsWith("#  ", StringComparison.Ordinal)).Select(l => l.TrimStart('#')));
        AgentConfig config = Read(shown);
        Assert.Equal(new AgentConfig().Sampling, config.Sampling);
        Assert.Equal(new AgentConfig().Pool, config.Pool);
        Assert.Equal(new AgentConfig().HostRate, config.HostRate);
        Assert.Equal(TieringSettings.DefaultShares, config.Defaults.Shares);
    }

    private static AgentConfig Read(string text) => ConfigReader.Read("t.yaml", new StringReader(text));
}
