// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Globalization;
using Microsoft.Extensions.Logging;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Memory;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// Stands in for what the machine of the host ring does not have: the kernel module and a slow NUMA node. The guests are real
/// processes with their RAM where /proc shows it; nothing is ever accessed,
/// and a page "is" on the node that it was last moved to.
/// </summary>
internal sealed class StandInKernel : IGuestSamplerFactory, INumaCalls, IDisposable
{
    private const int NoPage = -2; // -ENOENT

    private const ulong LeastRam = 4 << 20; // smaller blocks are firmware and its tables

    private readonly HostTree _tree = new();
    private readonly ConcurrentDictionary<StandInSampler, int> _open = new();
    private readonly ConcurrentDictionary<(int Pid, ulong Address), int> _moved = new();
    private readonly ConcurrentDictionary<int, GuestWork> _work = new();
    private int _strays;
    private int _harvests;

    public StandInKernel()
    {
        _tree.Write("sys/devices/system/node/online", "0-1");
        foreach ((int node, string cpus, string distances) in new[] { (0, "0-1023", "10 20"), (1, "", "20 10") })
        {
            string directory = $"sys/devices/system/node/node{node}/";
            _tree.Write(directory + "cpulist", cpus).Write(directory + "distance", distances)
                .Write(directory + "meminfo", $"Node {node} MemTotal:  1048576 kB\nNode {node} MemFree:  524288 kB\n");
        }
    }

    /// <summary>The processes that a sampler is attached to, as often as it is.</summary>
    public IReadOnlyList<int> SampledPids => [.. _open.Values.Order()];

    /// <summary>Pages that were looked at or moved and are in no RAM of their process.</summary>
    public int Strays => Volatile.Read(ref _strays);

    /// <summary>Harvests so far.</summary>
    public int Harvests => Volatile.Read(ref _harvests);

    /// <summary>What was done to a guest so far.</summary>
    public GuestWork WorkOn(int pid) => _work.GetValueOrDefault(pid);

    /// <summary>A node that the cpuset of each guest's process forbids; null for none.</summary>
    public ForbiddenNode? Forbidden { get; set; }

    /// <summary>The frames of its first memory that a guest touches between any two harvests, by process and by how many harvests
    /// it has had; none while null.</summary>
    public Func<int, int, IEnumerable<int>>? Touched { get; set; }

    /// <summary>Of some frames of its first memory, those that are on the fast node.</summary>
    public int CountFast(int pid, IEnumerable<int> frames)
    {
        ulong hva = ReadRam(pid)[0].Hva;
        return frames.Count(frame => _moved.GetValueOrDefault((pid, hva + ((ulong)frame * PageSizes.PageBytes))) == 0);
    }

    /// <summary>How many pages of a part of a process's RAM were moved to the slow node.</summary>
    public int CountSlow(int pid, Memslot ram) => _moved.Count(
        page => page.Key.Pid == pid && page.Value == 1 && page.Key.Address - ram.Hva < ram.PageCount * PageSizes.PageBytes);

    /// <summary>What the agent's loops share, with this kernel under them.</summary>
    public DomainLoopContext Context(TimeSpan interval, ILogger log)
    {
        PageMover mover = new(this, new PageMoverOptions(), TimeProvider.System);
        return new DomainLoopContext(
            HostMemory.Read(new AgentConfig(), NumaTopology.Read(_tree.At("sys"))),
            this,
            mover,
            new PageExchange(mover),
            new RoundScratchPool(() => new ResidencyReader(this, "/proc", _tree.At("sys"))),
            new SamplingPace(interval, HarvestsPerRound: 2, CpuShare: 1, FaultRate: 0),
            new HeatStore(_tree.At("heat"), log),
            new GuestRecords(new HeatStore(_tree.At("pictures"), log), TimeProvider.System, log),
            new LoopWatch(TimeProvider.System, log),
            TimeProvider.System,
            log);
    }

    public IGuestSampler Attach(int pid)
    {
        ReadRam(pid);
        StandInSampler sampler = new(this, pid);
        _open[sampler] = pid;
        return sampler;
    }

    public int MovePages(int pid, ReadOnlySpan<ulong> addresses, int node, Span<int> status, MoveScope scope)
    {
        CountStrays(pid, addresses);
        int absent = 0;
        using FileStream pagemap = OpenMemory(pid, "pagemap");
        for (int i = 0; i < addresses.Length; i++)
        {
            if (IsPresent(pagemap, addresses[i]))
            {
                status[i] = _moved[(pid, addresses[i])] = node;
            }
            else
            {
                status[i] = NoPage;
                absent++;
            }
        }
        Count(pid, new GuestWork(0, Moves: 1, absent));
        return 0;
    }

    public int QueryPages(int pid, ReadOnlySpan<ulong> addresses, Span<int> status)
    {
        CountStrays(pid, addresses);
        for (int i = 0; i < addresses.Length; i++)
            status[i] = _moved.GetValueOrDefault((pid, addresses[i]));
        return 0;
    }

    public ForbiddenNode? CheckNode(int pid, int node) =>
        pid != 0 && Forbidden?.Node == node ? Forbidden : null;

    /// <summary>What is bound, instead of what the running kernel says of it.</summary>
    public IReadOnlyList<MemoryBinding>? Bindings { get; set; }

    public IReadOnlyList<MemoryBinding> ReadBindings(int pid) => Bindings ?? new LinuxNumaCalls().ReadBindings(pid);

    public long FreeBytes(int node) => long.MaxValue;

    public TimeSpan ThreadTime() => TimeSpan.Zero;

    public void Dispose() => _tree.Dispose();

    /// <summary>The guest's RAM: what QEMU wants in huge pages (hg) and not in its children (dc),
    /// in the order of addresses.</summary>
    /// <exception cref="GuestMemoryException">The process has ended.</exception>
    internal static IReadOnlyList<Memslot> ReadRam(int pid)
    {
        List<Memslot> slots = [];
        ulong start = 0, end = 0, gpa = 0;
        foreach (string line in ReadSmaps(pid))
        {
            if (!line.StartsWith("VmFlags:", StringComparison.Ordinal))
            {
                string range = line.Split(' ', 2)[0];
                if (range.Contains('-', StringComparison.Ordinal))
                {
                    ulong[] ends =
                        [.. range.Split('-').Select(n => ulong.Parse(n, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
                    (start, end) = (ends[0], ends[1]);
                }
            }
            else if (end - start >= LeastRam && line.Contains(" hg", StringComparison.Ordinal)
                && line.Contains(" dc", StringComparison.Ordinal))
            {
                slots.Add(new Memslot(gpa, start, (end - start) / PageSizes.PageBytes));
                gpa += end - start;
            }
        }
        return slots;
    }

    /// <summary>A word of the guest's memory.</summary>
    internal static ushort Peek(int pid, long guestAddress)
    {
        if (ReadRam(pid) is not [{ } ram, ..])
            return 0; // QEMU has not made it yet
        using FileStream memory = OpenMemory(pid, "mem");
        memory.Position = (long)ram.Hva + guestAddress;
        Span<byte> word = stackalloc byte[sizeof(ushort)];
        memory.ReadExactly(word);
        return BinaryPrimitives.ReadUInt16LittleEndian(word);
    }

    private static string[] ReadSmaps(int pid)
    {
        try
        {
            string[] lines = File.ReadAllLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/smaps"));
            if (lines.Length > 0)
                return lines;
        }
        catch (IOException)
        {
            // No such process, or it went away while it was read.
        }
        throw Gone(pid);
    }

    private static bool IsPresent(FileStream pagemap, ulong address)
    {
        pagemap.Position = (long)(address / PageSizes.PageBytes) * sizeof(ulong);
        Span<byte> entry = stackalloc byte[sizeof(ulong)];
        return pagemap.ReadAtLeast(entry, entry.Length, throwOnEndOfStream: false) == entry.Length
            && BinaryPrimitives.ReadUInt64LittleEndian(entry) >> 63 != 0;
    }

    private static FileStream OpenMemory(int pid, string file)
    {
        try
        {
            return new FileStream(
                string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/{file}"), FileMode.Open, FileAccess.Read,
                FileShare.ReadWrite, bufferSize: 0);
        }
        catch (IOException)
        {
            throw Gone(pid);
        }
    }

    private static GuestMemoryException Gone(int pid) => new(GuestMemoryError.ProcessGone, $"process {pid} has ended");

    private void Count(int pid, GuestWork done) => _work.AddOrUpdate(pid, done, (_, work) => new GuestWork(
        work.Harvests + done.Harvests, work.Moves + done.Moves, work.MovesOfAbsent + done.MovesOfAbsent));

    private void CountStrays(int pid, ReadOnlySpan<ulong> addresses)
    {
        IReadOnlyList<Memslot> ram = ReadRam(pid);
        foreach (ulong address in addresses)
        {
            bool isRam = false;
            foreach (Memslot slot in ram)
                isRam |= address - slot.Hva < slot.PageCount * PageSizes.PageBytes;
            if (!isRam)
                Interlocked.Increment(ref _strays);
        }
    }

    /// <summary>What was done to a guest.</summary>
    /// <param name="Harvests">Calls that took its accessed bits.</param>
    /// <param name="Moves">Calls that moved pages of it.</param>
    /// <param name="MovesOfAbsent">Pages that were to be moved and are not there.</param>
    internal readonly record struct GuestWork(int Harvests, int Moves, int MovesOfAbsent);

    private sealed class StandInSampler(StandInKernel kernel, int pid) : IGuestSampler
    {
        private IReadOnlyList<Memslot> _last = [];
        private ulong _generation;

        public SamplerInfo GetInfo() => new(
            SamplerFeatures.AccessedBits, GuestPaging.Npt, 1, 1, 0, ReadGeneration(), 0, TimeSpan.Zero, 0, 0, 0, 0, 0, 0);

        public IReadOnlyList<Memslot> GetMemslots() => ReadRam(pid);

        public HarvestResult Harvest(GfnRange range, HarvestBuffers buffers, HarvestOptions options)
        {
            buffers.Accessed.Clear();
            if (kernel.Touched is { } touched && range.FirstGfn == 0)
            {
                foreach (int frame in touched(pid, kernel.WorkOn(pid).Harvests))
                    buffers.Accessed[frame / 64] |= 1UL << (frame % 64);
            }
            Interlocked.Increment(ref kernel._harvests);
            kernel.Count(pid, new GuestWork(Harvests: 1, 0, 0));
            ulong end = range.FirstGfn + (ulong)range.PageCount;
            long inRam = ReadRam(pid).Sum(
                slot => Math.Max(0, (long)(Math.Min(slot.EndGfn, end) - Math.Max(slot.FirstGfn, range.FirstGfn))));
            Interlocked.Add(ref kernel._strays, range.PageCount - (int)inRam);
            return new HarvestResult(range.PageCount, 0, 0, ReadGeneration());
        }

        public void SampleFaults(AccessKinds kinds, int samplesPerSecond) => throw new NotSupportedException();

        public int ReadSamples(Span<AccessSample> destination) => throw new NotSupportedException();

        public bool WaitForSamples(TimeSpan timeout) => throw new NotSupportedException();

        public void Dispose() => kernel._open.TryRemove(this, out _);

        private ulong ReadGeneration()
        {
            IReadOnlyList<Memslot> ram = ReadRam(pid);
            if (!ram.SequenceEqual(_last))
                _generation++;
            _last = ram;
            return _generation;
        }
    }
}
