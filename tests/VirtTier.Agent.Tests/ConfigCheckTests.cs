// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Memory;

namespace VirtTier.Agent.Tests;

public sealed class ConfigCheckTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();
    private readonly FakeHost _host = new();

    public void Dispose()
    {
        File.Delete(_path);
        _host.Dispose();
    }

    [Fact]
    public void What_was_checked_is_said_of_the_file_and_of_the_host()
    {
        (int code, string said) = Check("pool: {dram: 50%}", _host.ReadTopology);
        Assert.Equal(0, code);
        Assert.Equal(
            $"{_path}: good (checked: syntax, keys, values and their limits)\n"
            + "this host: good: fast: node 0 with 1 GiB; slow: node 1 with 1 GiB; pool 512 MiB (checked: "
            + "the tiers' nodes exist and have memory)\n",
            said);
    }

    [Fact]
    public void Nodes_that_the_host_lacks_are_found()
    {
        ConfigException error = Assert.Throws<ConfigException>(() => Check("tiers: {fast: [0], slow: [7]}", _host.ReadTopology));
        Assert.Equal("tiers: unknown NUMA node 7: this host has 0-1", error.Message);
    }

    [Fact]
    public void Where_there_is_no_numa_the_file_alone_is_checked_and_that_is_said()
    {
        (int code, string said) = Check("", () => throw new GuestMemoryException(GuestMemoryError.Unsupported, "no NUMA"));
        Assert.Equal(0, code);
        Assert.Contains($"{_path}: is empty: every key has its default", said, StringComparison.Ordinal);
        Assert.Contains("this host: not checked: no NUMA", said, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_files_of_the_host_are_no_fault_of_the_configuration()
    {
        _host.Write("sys/devices/system/node/online", "0-x");
        Assert.Throws<GuestMemoryException>(() => Check("", _host.ReadTopology));
    }

    [Fact]
    public void A_damaged_cpuset_is_told_in_a_sentence_that_names_the_file()
    {
        _host.Write("proc/7/status", "Mems_allowed_list:\t0\n");
        _host.Write("proc/7/cgroup", "0::/machine.slice\n");
        _host.Write("cgroup/machine.slice/cpuset.mems", "0-x");
        GuestMemoryException error = Assert.Throws<GuestMemoryException>(
            () => NodePreflight.Check(7, 1, _host.PathOf("proc"), _host.PathOf("cgroup")));
        Assert.StartsWith($"cannot read {_host.PathOf("cgroup/machine.slice/cpuset.mems")}: ", error.Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", true)]
    [InlineData(" \n\n", true)]
    [InlineData("# nothing said\n", false)]
    [InlineData("pool:\n", false)]
    public async Task An_empty_file_is_said_at_a_reload_and_comments_alone_are_not(string text, bool empty)
    {
        await File.WriteAllTextAsync(_path, text, TestContext.Current.CancellationToken);
        using ConfigReload reload = new(_path, _ => Task.CompletedTask, _host.Loops, _host.Log);
        await reload.RunAsync();
        Assert.Equal(empty ? 1 : 0, _host.Log.Lines.Count(line => line == $"{_path} is empty: every key has its default"));
    }

    private (int Code, string Said) Check(string text, Func<NumaTopology> read)
    {
        File.WriteAllText(_path, text);
        using StringWriter said = new();
        return (ConfigCheck.Run(_path, read, said), said.ToString());
    }
}
