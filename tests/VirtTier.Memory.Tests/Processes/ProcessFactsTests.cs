// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Tests.Fakes;

namespace VirtTier.Memory.Tests.Processes;

public sealed class ProcessFactsTests : IDisposable
{
    private readonly TempTree _tree = new();

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void The_start_time_is_found_behind_any_command_name()
    {
        _tree.File("42/stat",
            "42 (qemu (x) 1 2) S 1 42 42 0 -1 4194560 1 0 0 0 1 2 3 4 20 0 5 0 987654 1000 200 18446744073709551615\n");
        Assert.Equal(987654ul, ProcessFacts.ReadStartTime(42, _tree.Root));
    }

    [Fact]
    public void Cpu_time_is_that_of_user_and_kernel_in_hundredths_of_a_second()
    {
        _tree.File("42/stat",
            "42 (qemu (x) 1 2) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 3 4 20 0 5 0 987654 1000 200 18446744073709551615\n");
        Assert.Equal(TimeSpan.FromSeconds(2), ProcessFacts.ReadCpuTime(42, _tree.Root));
    }

    [Fact]
    public void Resident_pages_are_the_second_number_of_statm()
    {
        _tree.File("42/statm", "1000 250 30 4 0 5 0\n");
        Assert.Equal(250, ProcessFacts.ReadResidentPages(42, _tree.Root));
        _tree.File("42/statm", "1000 x 30 4 0 5 0\n");
        Assert.Contains("makes no sense", Assert.Throws<GuestMemoryException>(
            () => ProcessFacts.ReadResidentPages(42, _tree.Root)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_running_process_has_started_and_may_use_some_node_and_processor()
    {
        ulong first = ProcessFacts.ReadStartTime(Environment.ProcessId);
        Assert.True(first > ProcessFacts.ReadStartTime(1), "this process started after process 1");
        Assert.NotEmpty(ProcessFacts.ReadAllowedNodes(Environment.ProcessId));
        Assert.NotEmpty(ProcessFacts.ReadAllowedCpus(Environment.ProcessId));
        Assert.InRange(ProcessFacts.ReadResidentPages(Environment.ProcessId), 1000, long.MaxValue);
    }

    [Fact]
    public void A_process_that_ended_is_told_apart()
    {
        var error = Assert.Throws<GuestMemoryException>(() => ProcessFacts.ReadStartTime(42, _tree.Root));
        Assert.Equal(GuestMemoryError.ProcessGone, error.Kind);
        Assert.Equal("process 42 has ended", error.Message);
    }

    [Fact]
    public void Files_that_make_no_sense_are_named_in_a_short_sentence()
    {
        const string Stat =
            "42 (qemu (x) 1 2) S 1 42 42 0 -1 4194560 1 0 0 0 150 50 3 4 20 0 5 0 987654 1000 200 18446744073709551615\n";
        const string Status = "Name:\tqemu\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t0-1\n";
        Random random = new(14);
        for (int run = 0; run < 500; run++)
        {
            _tree.File("42/stat",
                run == 0 ? "" : run == 1 ? new string('\u001b', 1 << 15) : run == 2 ? new string('x', 1 << 20) : Damage(Stat));
            _tree.File("42/status", run == 1 ? "Mems_allowed_list:" + new string('x', 1 << 15) : Damage(Status));
            foreach (Action read in (Action[])[() => ProcessFacts.ReadStartTime(42, _tree.Root),
                () => ProcessFacts.ReadCpuTime(42, _tree.Root), () => ProcessFacts.ReadAllowedNodes(42, _tree.Root),
                () => ProcessFacts.ReadAllowedCpus(42, _tree.Root)])
            {
                if (Record.Exception(read) is not { } error)
                    continue;
                GuestMemoryException failure = Assert.IsType<GuestMemoryException>(error);
                Assert.Contains("/42/stat", failure.Message, StringComparison.Ordinal);
                Assert.True(failure.Kind is GuestMemoryError.Failed or GuestMemoryError.Unsupported);
                Assert.InRange(failure.Message.Length, 1, 300);
                Assert.DoesNotContain(failure.Message, char.IsControl);
            }
        }

        string Damage(string text)
        {
            char[] damaged = text.ToCharArray();
            for (int change = random.Next(4); change >= 0; change--)
                damaged[random.Next(damaged.Length)] = (char)random.Next(1, 127);
            return new string(damaged, 0, random.Next(2) == 0 ? damaged.Length : random.Next(damaged.Length));
        }
    }

    [Fact]
    public void An_allowed_node_passes_the_preflight()
    {
        Status("0-1");
        Assert.Null(NodePreflight.Check(42, 1, _tree.Root, _tree.Root));
    }

    [Fact]
    public void A_forbidden_node_is_named_with_the_outermost_cgroup_that_lacks_it()
    {
        Status("0");
        _tree.File("42/cgroup", "0::/machine.slice/web1.scope/libvirt/emulator\n")
            .File("cg/machine.slice/cpuset.mems", "\n")
            .File("cg/machine.slice/web1.scope/libvirt/cpuset.mems", "0\n")
            .File("cg/machine.slice/web1.scope/libvirt/emulator/cpuset.mems", "0\n");
        ForbiddenNode? forbidden = NodePreflight.Check(42, 1, _tree.Root, _tree.PathOf("cg"));
        string file = _tree.PathOf("cg/machine.slice/web1.scope/libvirt/cpuset.mems");
        Assert.Equal(
            $"the cpuset allows memory on node 0 only, not on node 1 (mend it with: echo 0-1 > {file})",
            forbidden?.ToString());
    }

    [Fact]
    public void A_cpuset_of_cgroup_version_1_is_found_too()
    {
        Status("0,2");
        _tree.File("42/cgroup", "7:memory:/machine\n4:cpu,cpuset:/machine/web1\n0::/\n").File(
            "cg/cpuset/machine/web1/cpuset.mems", "0,2\n");
        ForbiddenNode? forbidden = NodePreflight.Check(42, 1, _tree.Root, _tree.PathOf("cg"));
        Assert.Equal($"echo 0-2 > {_tree.PathOf("cg/cpuset/machine/web1/cpuset.mems")}", forbidden?.Mend);
    }

    [Fact]
    public void The_command_that_allows_a_node_does_so_in_a_shell_whatever_the_cgroup_is_called()
    {
        const string cgroup = "machine-qemu\\x2d1 o'clock;$(id).scope";
        Status("0");
        _tree.File("42/cgroup", $"0::/{cgroup}\n").File($"cg/{cgroup}/cpuset.mems", "0\n");
        ForbiddenNode? forbidden = NodePreflight.Check(42, 1, _tree.Root, _tree.PathOf("cg"));
        using (Process shell = Process.Start("/bin/sh", ["-c", forbidden!.Mend!]))
            shell.WaitForExit();
        Assert.Equal("0-1\n", File.ReadAllText(_tree.PathOf($"cg/{cgroup}/cpuset.mems")));
    }

    [Fact]
    public void No_command_is_made_up_for_a_cgroup_that_cannot_be_seen()
    {
        Status("0");
        _tree.File("42/cgroup", "0::/machine/web1\n").File("cg/cpuset.mems", "0-1\n");
        ForbiddenNode? forbidden = NodePreflight.Check(42, 1, _tree.Root, _tree.PathOf("cg"));
        Assert.Equal("the cpuset allows memory on node 0 only, not on node 1", forbidden?.ToString());
    }

    private void Status(string nodes) =>
        _tree.File("42/status", $"Name:\tqemu\nMems_allowed:\t00000000,00000001\nMems_allowed_list:\t{nodes}\n");
}
