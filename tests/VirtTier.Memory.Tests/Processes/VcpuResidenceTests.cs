// SPDX-License-Identifier: Apache-2.0
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Tests.Fakes;
using VirtTier.TestSupport;

namespace VirtTier.Memory.Tests.Processes;

/// <summary>Where virtual CPUs ran, from files of procfs as QEMU's threads have them.</summary>
public sealed class VcpuResidenceTests : IDisposable
{
    private const int Pid = 77;
    private static readonly NumaNode[] s_nodes = [Node(0, 0, 1), Node(1, 2, 3), Node(2)];
    private readonly TempTree _proc = new();
    private readonly ManualTime _time = new();
    private readonly VcpuResidence _residence;

    public VcpuResidenceTests()
    {
        _time.Advance(TimeSpan.FromHours(1));
        _residence = new VcpuResidence(Pid, s_nodes, _time, _proc.Root);
    }

    public void Dispose() => _proc.Dispose();

    [Fact]
    public void Time_counts_for_the_processor_that_it_was_used_on_and_fades()
    {
        Look("CPU 0/KVM", cpu: 1, ticks: 100_000); // long ago, perhaps elsewhere
        Assert.Equal(0.5, _residence.SecondsByNode()[0], 0.001);
        for (int second = 1; second <= 60; second++)
            Look("CPU 0/KVM", cpu: 3, ticks: 100_000 + (second * 100));

        IReadOnlyDictionary<int, double> seconds = _residence.SecondsByNode();
        Assert.InRange(seconds[0], 0.05, 0.1);
        Assert.InRange(seconds[1], 24, 28);
        Assert.Equal(1, _residence.VcpuCount);
    }

    [Fact]
    public void Virtual_CPUs_count_one_by_one_and_other_threads_do_not()
    {
        Thread(1, "CPU 0/KVM", 0, 0);
        Thread(2, "CPU 1/KVM", 2, 0);
        Thread(3, "IO iothread1", 0, 0);
        _residence.Look();
        Thread(1, "CPU 0/KVM", 0, 100);
        Thread(2, "CPU 1/KVM", 2, 300);
        Thread(3, "IO iothread1", 0, 900);
        _time.Advance(TimeSpan.FromSeconds(1));
        _residence.Look();

        Assert.Equal([1.0, 3.0], Enumerable.Range(0, 2).Select(node => _residence.SecondsByNode()[node]));
        Assert.Equal([1], _residence.SecondsByNode([1]).Keys);
    }

    [Fact]
    public void Without_named_threads_all_of_them_count()
    {
        Look("qemu-system-x86", cpu: 2, ticks: 0);
        Look("qemu-system-x86", cpu: 2, ticks: 80);
        Assert.Equal(0, _residence.VcpuCount);
        Assert.Equal(0.8, _residence.SecondsByNode([7])[1], 0.001);
    }

    [Fact]
    public void Virtual_CPUs_that_stand_still_count_where_they_are_bound_to()
    {
        Thread(1, "CPU 0/KVM", 0, 3, "2-3");
        Thread(2, "CPU 1/KVM", 0, 3, "0-3");
        _residence.Look();
        Assert.Empty(_residence.SecondsByNode());
        _residence.LookAtPins();
        Assert.Equal([1], _residence.SecondsByNode([0]).Keys);
        Assert.Empty(_residence.SecondsByNode([1]));
    }

    [Fact]
    public void Threads_that_ended_are_forgotten_and_so_is_nothing_of_a_process_that_did()
    {
        Look("CPU 0/KVM", cpu: 0, ticks: 100);
        Thread(9, "CPU 1/KVM", 2, 100);
        _residence.Look();
        Assert.Equal(2, _residence.VcpuCount);
        Directory.Delete(_proc.PathOf($"{Pid}/task/9"), recursive: true);
        _residence.Look();
        Assert.Equal(1, _residence.VcpuCount);
        Directory.Delete(_proc.PathOf($"{Pid}"), recursive: true);
        _residence.Look();
        _residence.LookAtPins();
        Assert.Equal(0, _residence.VcpuCount);
    }

    private void Look(string name, int cpu, int ticks)
    {
        Thread(1, name, cpu, ticks);
        _time.Advance(TimeSpan.FromSeconds(1));
        _residence.Look();
    }

    private void Thread(int id, string name, int cpu, int ticks, string allowed = "0-3") =>
        _proc.File($"{Pid}/task/{id}/stat",
            $"{id} ({name}) S 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 5 {string.Join(' ', new int[16])} {cpu} 0 0\n")
            .File($"{Pid}/task/{id}/status", $"Name:\tx\nCpus_allowed_list:\t{allowed}\n");

    private static NumaNode Node(int id, params int[] cpus) => new(id, cpus, 1 << 30, new Dictionary<int, int>());
}
