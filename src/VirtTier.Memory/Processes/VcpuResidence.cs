// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Linux;
using VirtTier.Memory.Numa;

namespace VirtTier.Memory.Processes;

/// <summary>
/// On which NUMA nodes the virtual CPUs of a guest ran of late: the CPU time of each thread of its process, counted for the
/// processor that the thread was seen on. What is long past counts less and less. One thread at a time uses it.
/// </summary>
/// <remarks>
/// QEMU names the threads of virtual CPUs <c>CPU 3/KVM</c> when it is told to (libvirt does: debug-threads=on). Where no thread
/// is named so, all of them count, of which virtual CPUs use the most time.
/// </remarks>
public sealed class VcpuResidence
{
    // Long enough for the scheduler's to and fro to even out, short enough to follow a guest that moved within a minute.
    private static readonly TimeSpan s_memory = TimeSpan.FromSeconds(30);

    // To look reads a file for each thread: it may take this part of the time.
    private const int Rarity = 200;

    // What the first look finds was used since the process began, perhaps long ago and elsewhere: it counts as this much.
    private const double MostAtFirst = 0.5;

    private readonly int _pid;
    private readonly string _procfs;
    private readonly TimeProvider _time;
    private readonly IReadOnlyDictionary<int, int> _nodeOfCpu;
    private readonly Dictionary<int, VcpuThread> _threads = [];
    private long _looked;
    private TimeSpan _cost;

    /// <summary>Of a process that was not looked at yet.</summary>
    /// <param name="pid">The process.</param>
    /// <param name="nodes">The host's nodes.</param>
    /// <param name="time">The clock.</param>
    /// <param name="procfs">Where procfs is mounted.</param>
    public VcpuResidence(int pid, IEnumerable<NumaNode> nodes, TimeProvider time, string procfs = "/proc")
    {
        ArgumentNullException.ThrowIfNull(nodes);
        _pid = pid;
        _procfs = procfs;
        _time = time;
        _nodeOfCpu = nodes.SelectMany(node => node.Cpus.Select(cpu => (cpu, node.Id))).ToDictionary();
    }

    /// <summary>Virtual CPUs found at the last look; 0 if no thread is named as one.</summary>
    public int VcpuCount { get; private set; }

    /// <summary>Looks where the threads run, unless it did so a moment ago. A process that has ended
    /// leaves all as it is.</summary>
    public void Look()
    {
        TimeSpan passed = _time.GetElapsedTime(_looked);
        if (_looked != 0 && passed < _cost * Rarity)
            return;
        double kept = _looked == 0 ? 0 : Math.Exp(-(passed / s_memory));
        long start = _time.GetTimestamp();
        HashSet<int> gone = [.. _threads.Keys];
        foreach (string directory in Threads())
        {
            if (!int.TryParse(Path.GetFileName(directory), NumberStyles.None, CultureInfo.InvariantCulture, out int id)
                || ThreadStat.Read(_pid, id, _procfs) is not { } stat)
                continue;
            gone.Remove(id);
            if (!_threads.TryGetValue(id, out VcpuThread? thread))
                _threads[id] = thread = new VcpuThread();
            thread.Take(stat, kept, _nodeOfCpu.GetValueOrDefault(stat.Processor, -1), MostAtFirst);
        }
        foreach (int id in gone)
            _threads.Remove(id);
        VcpuCount = _threads.Values.Count(thread => thread.Vcpu >= 0);
        _looked = start;
        _cost = _time.GetElapsedTime(start);
    }

    /// <summary>Looks to which nodes the threads are bound, which seldom changes.</summary>
    public void LookAtPins()
    {
        foreach ((int id, VcpuThread thread) in _threads)
        {
            try
            {
                int[] nodes = [.. ProcessFacts.ReadAllowedCpus(
                    id, Path.Combine(_procfs, _pid.ToString(CultureInfo.InvariantCulture), "task"))
                    .Select(cpu => _nodeOfCpu.GetValueOrDefault(cpu, -1)).Where(node => node >= 0).Distinct().Take(2)];
                thread.PinnedTo = nodes is [int only] ? only : null;
            }
            catch (GuestMemoryException)
            {
                thread.PinnedTo = null; // it has just ended
            }
        }
    }

    /// <summary>CPU time of late by node, in seconds, of some virtual CPUs together.</summary>
    /// <param name="vcpus">Their numbers; null for all. All count where no thread is named as a virtual CPU.</param>
    /// <returns>No nodes if nothing is known. Virtual CPUs that hardly ran count where they are bound to, if that is one
    /// node.</returns>
    public IReadOnlyDictionary<int, double> SecondsByNode(IReadOnlyCollection<int>? vcpus = null)
    {
        Dictionary<int, double> seconds = [];
        VcpuThread[] counted = [.. _threads.Values.Where(
            thread => VcpuCount == 0 || (thread.Vcpu >= 0 && (vcpus is null || vcpus.Contains(thread.Vcpu))))];
        foreach (VcpuThread thread in counted)
        {
            foreach ((int node, double used) in thread.Seconds)
                seconds[node] = seconds.GetValueOrDefault(node) + used;
        }
        if (seconds.Values.Sum() >= LeastSeconds)
            return seconds;
        seconds.Clear();
        foreach (VcpuThread thread in counted.Where(thread => thread.PinnedTo is not null))
            seconds[thread.PinnedTo!.Value] = seconds.GetValueOrDefault(thread.PinnedTo.Value) + LeastSeconds;
        return seconds;
    }

    /// <summary>Less CPU time than this, of late, says nothing of where a guest runs.</summary>
    public const double LeastSeconds = 0.2;

    private string[] Threads()
    {
        try
        {
            return Directory.GetDirectories(Path.Combine(_procfs, _pid.ToString(CultureInfo.InvariantCulture), "task"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private sealed class VcpuThread
    {
        private ulong? _ticks;

        public int Vcpu { get; private set; } = -1;

        public int? PinnedTo { get; set; }

        public Dictionary<int, double> Seconds { get; } = [];

        public void Take(ThreadStat stat, double kept, int node, double mostAtFirst)
        {
            Vcpu = NumberOf(stat.Name);
            double used = (stat.Ticks - Math.Min(stat.Ticks, _ticks ?? 0)) / (double)ProcessStat.TicksPerSecond;
            used = _ticks is null ? Math.Min(used, mostAtFirst) : used;
            _ticks = stat.Ticks;
            foreach (int known in Seconds.Keys)
                Seconds[known] *= kept;
            if (node >= 0 && used > 0)
                Seconds[node] = Seconds.GetValueOrDefault(node) + used;
        }

        private static int NumberOf(string name) =>
            name.StartsWith("CPU ", StringComparison.Ordinal) && name.EndsWith("/KVM", StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(4, name.Length - 8), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                ? number
                : -1;
    }
}
