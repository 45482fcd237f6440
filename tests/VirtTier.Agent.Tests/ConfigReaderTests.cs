// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Libvirt.Domains;
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
              split: 5%
            libvirt:
              heartbeat: 5s
              source: files
              carry_heat: off
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
        Assert.Equal([[2]], config.SlowTiers!);
        Assert.Equal(10UL << 20, config.DomainRate.BytesPerSecond);
        Assert.Equal(0.2, config.MoveCpuShare);
        Assert.Equal(40UL << 20, config.HostRate.BytesPerSecond);
        Assert.Equal(0.05, config.Split.Share);
        Assert.Equal(TimeSpan.FromSeconds(5), config.Heartbeat);
        Assert.Equal(LibvirtSource.Files, config.LibvirtSource);
        Assert.False(config.CarryHeat);
        Assert.True(config.AdmissionControl);
    }

    [Fact]
    public void Several_slow_tiers_are_a_list_of_lists() =>
        Assert.Equal([[0], [1, 3]], ConfigReader.Read("t.yaml", "tiers: {fast: [2], slow: [[0], [1, 3]]}").SlowTiers!);

    [Theory]
    [InlineData("")]
    [InlineData("# nothing but a comment\n")]
    [InlineData("sampling:\n")]
    public void What_is_left_out_has_its_default(string text) =>
        Assert.Equal(new AgentConfig { IsEmptyFile = string.IsNullOrWhiteSpace(text) }, Read(text));

    [Fact]
    public void Sources_beside_libvirt_are_off_until_they_are_named()
    {
        SourceOptions none = Read("sources: {proxmox: off, pods: off}").Sources;
        Assert.Equal((false, null, 0, 0), (none.Proxmox, none.Pods, none.PidFiles.Count, none.Cgroups.Count));
        SourceOptions all = Read("sources: {proxmox: on, pods: on, pid_files: /run/a.pid, cgroups: [/vms.slice/*, /x]}").Sources;
        Assert.Equal((true, "/var/lib/kubelet/pods"), (all.Proxmox, all.Pods));
        Assert.Equal(["/run/a.pid"], all.PidFiles);
        Assert.Equal(["/vms.slice/*", "/x"], all.Cgroups);
        Assert.Equal("/srv/kubelet/pods", Read("sources: {pods: /srv/kubelet/pods}").Sources.Pods);
        Assert.Equal(LibvirtSource.Off, Read("libvirt: {source: off}").LibvirtSource);
    }

    [Fact]
    public void A_file_that_does_not_exist_means_all_defaults() =>
        Assert.Equal(new AgentConfig(), ConfigReader.ReadFile("/nonexistent/virttier.yaml"));

    [Theory]
    [InlineData("sampling:\n  intervall: 1s\n",
        "t.yaml:2:3: unknown key 'intervall' in 'sampling'; known: interval, harvests_per_round")]
    [InlineData(
        "polling: 3\n",
        "t.yaml:1:1: unknown key 'polling'; known: defaults, rules, sampling, tiers, migration, pool, costs, libvirt, "
            + "sources, hook")]
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
    [InlineData("libvirt:\n  carry_heat: 5\n", "t.yaml:2:15: '5' must be on or off")]
    [InlineData("libvirt:\n  source: files,dbus\n", "t.yaml:2:11: 'files,dbus' must be auto, dbus, files or off")]
    [InlineData("sources:\n  pods: kubelet\n", "t.yaml:2:9: 'kubelet' must be on, off, or the kubelet's directory")]
    [InlineData("sources:\n  pid_files: [/run/*.pid, run/x]\n", "t.yaml:2:27: 'run/x' must be a path from the root on")]
    [InlineData("sources:\n  cgroups: /vms/../..\n", "t.yaml:2:12: '/vms/../..' must be a path from the root on")]
    [InlineData("sources:\n  proxmox: auto\n", "t.yaml:2:12: 'auto' must be on or off")]
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
        string shown = string.Join('\n',
            packaged.Split('\n')
                .Where(l => !l.StartsWith("# ", StringComparison.Ordinal) || l.StartsWith("#  ", StringComparison.Ordinal))
                .Select(l => l.TrimStart('#')));
        AgentConfig config = Read(shown);
        Assert.Equal(new AgentConfig().Sampling, config.Sampling);
        Assert.Equal(new AgentConfig().Pool, config.Pool);
        Assert.Equal(new AgentConfig().HostRate, config.HostRate);
        Assert.Equal(TieringSettings.DefaultShares, config.Defaults.Shares);
    }

    [Fact]
    public void The_configuration_for_a_cluster_looks_for_pods_and_moves_nothing()
    {
        AgentConfig config = Read(File.ReadAllText(Path.Combine(Repository.Root, "packaging/kubernetes/base/virttier.yaml")));
        Assert.Equal(("/var/lib/kubelet/pods", LibvirtSource.Off, TieringMode.Observe),
            (config.Sources.Pods, config.LibvirtSource, config.Defaults.Mode));
    }

    [Theory]
    [InlineData("libvirt: {heartbeat: 999999999999999s}",
        "t.yaml:1:22: '999999999999999s' must be a time with its unit, from 1s to 300s")]
    [InlineData("libvirt: {heartbeat: NaNs}", "t.yaml:1:22: 'NaNs' must be a time")]
    [InlineData("libvirt: {heartbeat: Infinitys}", "t.yaml:1:22: 'Infinitys' must be a time")]
    [InlineData("sampling: {interval: 1e300min}", "t.yaml:1:22: '1e300min' must be a time")]
    [InlineData("sampling: {domain_cpu: NaN%}", "t.yaml:1:24: 'NaN%' must be a share")]
    [InlineData("tiers: {write_weight: NaN}", "t.yaml:1:23: 'NaN' must be a number")]
    [InlineData("pool: {dram: 10000000TiB}", "t.yaml:1:14: '10000000TiB' must be from 0KiB to 4096TiB")]
    [InlineData("defaults: {dram: 10000000TiB}", "t.yaml:1:18: defaults.dram: '10000000TiB' must be from")]
    [InlineData("migration: {host_rate: 10000000TiB/s}", "t.yaml:1:24: '10000000TiB' must be from 1KiB/s to 4096TiB/s")]
    [InlineData("tiers: {fast: [0]}", "t.yaml:1:8: tiers: 'fast' and 'slow' belong together")]
    [InlineData("tiers: {slow: [0]}", "t.yaml:1:8: tiers: 'fast' and 'slow' belong together")]
    [InlineData("tiers: {fast: [0, 1], slow: [1]}", "t.yaml:1:8: tiers: NUMA node 1 is in both lists")]
    [InlineData("tiers: {fast: [0, 0], slow: [1]}", "t.yaml:1:19: NUMA node 0 is listed twice")]
    [InlineData("tiers: {fast: [0], slow: [[1], [2, 1]]}", "t.yaml:1:32: NUMA node 1 is listed twice")]
    [InlineData("tiers: {fast: [0], slow: [[1], []]}", "t.yaml:1:32: must name at least one NUMA node")]
    [InlineData("tiers: {fast: [0], slow: [[1], [0]]}", "t.yaml:1:8: tiers: NUMA node 0 is in both lists")]
    [InlineData("tiers: {fast: [], slow: [1]}", "t.yaml:1:15: must name at least one NUMA node")]
    [InlineData("a: 1\n\0\0", "t.yaml:2:1: the character U+0000 is no text")]
    [InlineData("pool:\n  dram: \u001b[2J", "t.yaml:2:9: the character U+001B is no text")]
    [InlineData("{&x [*x]: 0, &y [*y]: 1}", "t.yaml:1:6: the alias '*x' is not supported")]
    public void What_no_configuration_needs_is_refused_by_its_place(string text, string message) =>
        Assert.StartsWith(message, Assert.Throws<ConfigException>(() => Read(text)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData('[')]
    [InlineData('{')]
    public void Depth_is_refused_before_it_takes_the_stack(char opening) =>
        Assert.Contains("nested more than 16 deep",
            Assert.Throws<ConfigException>(() => Read(new string(opening, 100_000))).Message, StringComparison.Ordinal);

    [Fact]
    public void Deep_blocks_are_refused_as_deep_brackets_are()
    {
        string text = string.Join('\n', Enumerable.Range(0, 2000).Select(depth => new string(' ', depth) + "a:"));
        Assert.Contains("nested more than 16 deep", Assert.Throws<ConfigException>(() => Read(text)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 0, 0, 0, 0 }, ":1:1: the character U+0000 is no text")]
    [InlineData(new byte[] { (byte)'#', 0xff, (byte)'x' }, ": not UTF-8: byte 1 (0xff)")]
    public void A_damaged_file_is_not_an_empty_one(byte[] content, string message)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(file, content);
            Assert.StartsWith(file + message, Assert.Throws<ConfigException>(() => ConfigReader.ReadFile(file)).Message,
                StringComparison.Ordinal);
            File.WriteAllBytes(file, new byte[(1 << 20) + 1]);
            Assert.Contains("has more than 1048576 bytes",
                Assert.Throws<ConfigException>(() => ConfigReader.ReadFile(file)).Message, StringComparison.Ordinal);
            File.WriteAllBytes(file, [0xef, 0xbb, 0xbf, .. "pool: {dram: 50%}"u8]);
            Assert.Equal("50%", ConfigReader.ReadFile(file).Pool.ToString());
            File.WriteAllBytes(file, []);
            Assert.Equal(new AgentConfig().Pool, ConfigReader.ReadFile(file).Pool);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void What_is_quoted_is_short_and_cannot_speak_to_a_terminal()
    {
        string message = Assert.Throws<ConfigException>(
            () => Read($"pool: {{dram: \"\\e[2J{new string('x', 1_000_000 - 100)}\"}}")).Message;
        Assert.Contains("\\u001b[2Jxxx", message, StringComparison.Ordinal);
        Assert.InRange(message.Length, 1, 300);
        Assert.DoesNotContain('\u001b', message);
    }

    /// <summary>Whatever is done to a good file, it is read or refused; nothing else comes out.</summary>
    [Fact]
    public void A_mutilated_file_is_read_or_refused()
    {
        const string good = "defaults: {dram: 25%, rate: 10MiB/s}\nsampling:\n  interval: 250ms\n  domain_cpu: 5%\n"
            + "tiers: {fast: [0], slow: [1, 2]}\npool: {dram: 64GiB}\n";
        const string odd = "[]{}:,&*!|>'\"%@`#-?~<0\t\n\r\0\u0085\u2028\ud800 9eNI";
        Random random = new(7);
        int refused = 0, read = 0;
        for (int i = 0; i < 20_000; i++)
        {
            char[] text = good.ToCharArray();
            for (int change = random.Next(4); change >= 0; change--)
                text[random.Next(text.Length)] = odd[random.Next(odd.Length)];
            try
            {
                Read(new string(text));
                read++;
            }
            catch (ConfigException e)
            {
                Assert.Matches("^t\\.yaml:[0-9]+:[0-9]+: ", e.Message);
                refused++;
            }
        }
        Assert.True(refused > 1000 && read > 100, $"{refused} refused, {read} read");
    }

    private static AgentConfig Read(string text) => ConfigReader.Read("t.yaml", text);
}
