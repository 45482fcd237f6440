// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Pictures;
using VirtTier.Memory.Numa;
using VirtTier.Memory.Processes;
using VirtTier.Memory;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Sampling;
using VirtTier.Memory.Splitting;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests.Fakes;

/// <summary>
/// A host with a fast node 0 and a slow node 1, as files of its own, on which one guest lives. The guest's pages "are" in
/// <see cref="NodeOf"/>: the fake kernel answers move_pages from there.
/// </summary>
internal sealed class FakeHost : INumaCalls, IGuestSamplerFactory, IDisposable
{
    public const int GuestPages = 4096;
    private const ulong Hva = 0x40000000;
    private const int FirstFrame = 1 << 20;

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("virttier-test-");
    private readonly List<int> _pids = [];
    private int _attached;
    private int _looks;
    private int _attachments;
    private int _moveCalls;
    private int _faultRate;
    private int _ticks;
    private AccessKinds _sampledKinds;

    public FakeHost()
    {
        Loops = new LoopWatch(Time, Log);
        WriteNode(0, "0-1023", "10 20");
        WriteNode(1, "", "20 10");
        Write("sys/devices/system/node/online", "0-1");
        Write("sys/devices/system/memory/block_size_bytes", "8000000");
        MovedByOthers = 1_000_000;
        AddProcess(Environment.ProcessId);
        Array.Fill(NodeOf, 0);
    }

    /// <summary>The node of each guest page.</summary>
    public int[] NodeOf { get; } = new int[GuestPages];

    /// <summary>The pages that the guest touches between any two harvests.</summary>
    public HashSet<int> HotPages { get; set; } = [];

    /// <summary>The pages that the guest of the so manieth attachment (from 1) touches, where not
    /// <see cref="HotPages"/>.</summary>
    public Dictionary<int, HashSet<int>> HotPagesOf { get; } = [];

    /// <summary>The pages that the guest touches, beside <see cref="HotPages"/>, once in <see cref="CalmPeriod"/>.</summary>
    public HashSet<int> CalmPages { get; set; } = [];

    /// <summary>The time between two harvests in which the guest surely touches its calm pages.</summary>
    public TimeSpan CalmPeriod { get; } = TimeSpan.FromMilliseconds(25);

    /// <summary>Time between two harvests of a round.</summary>
    public TimeSpan Interval { get; set; } = TimeSpan.FromMilliseconds(5);

    /// <summary>The page from which on the guest has no memory yet; see <see cref="BornPerHarvest"/>.</summary>
    public int GrownTo { get; set; } = GuestPages;

    /// <summary>Pages that the guest touches for the first time between any two harvests, as long as it has such;
    /// they come to the fast node.</summary>
    public int BornPerHarvest { get; set; }

    /// <summary>What each harvest takes of a CPU.</summary>
    public TimeSpan HarvestTime { get; set; }

    /// <summary>What it takes of a CPU to look where the guest's pages are.</summary>
    public TimeSpan LookTime { get; set; }

    /// <summary>Pages that others than the agent have moved on the host so far.</summary>
    public long MovedByOthers
    {
        get;
        set
        {
            field = value;
            WriteMigrations();
        }
    }

    /// <summary>Pages that the guest's process maps; not before a test says so all that the guest has.</summary>
    public void SetResident(long pages) => Write($"proc/{Environment.ProcessId}/statm", $"100000 {pages} 100 1 0 2000 0\n");

    /// <summary>Whether the guest is mapped by 2 MiB.</summary>
    public bool HugePages { get; set; }

    /// <summary>Whether KVM maps by small entries what is of 2 MiB to the kernel.</summary>
    public bool SmallEntries { get; set; }

    /// <summary>The blocks of 2 MiB of which the guest has given back every other page.</summary>
    public HashSet<int> TornBlocks { get; } = [];

    /// <summary>Of these mappings, the blocks that were split.</summary>
    public HashSet<int> SplitBlocks { get; } = [];

    /// <summary>Splits and joins them.</summary>
    public IHugePages? Splitter { get; set; }

    /// <summary>The block that an address of the guest's memory begins.</summary>
    public static int BlockAt(ulong address) => PageAt(address) / PageSizes.BlockPages;

    /// <summary>Whether the kernel can sample faults.</summary>
    public bool CanSampleFaults { get; set; } = true;

    /// <summary>Fault samples a second that were asked for last.</summary>
    public int FaultRate => Volatile.Read(ref _faultRate);

    /// <summary>What landmines catch in a harvest's time while samples of these kinds are asked for.</summary>
    public Func<AccessKinds, IEnumerable<AccessSample>> Faults { get; set; } = _ => [];

    /// <summary>Landmines laid in a harvest's time.</summary>
    public ulong Landmines { get; set; } = 100;

    /// <summary>What was logged.</summary>
    public FakeLog Log { get; } = new();

    public SkippingTime Time { get; } = new();

    /// <summary>Watches the loops of the domains.</summary>
    public LoopWatch Loops { get; }

    /// <summary>What the kernel does before a harvest.</summary>
    public Action BeforeHarvest { get; set; } = () => { };

    /// <summary>What the kernel does before it lets go of a guest of a process that was attached so manieth (from 1).</summary>
    public Action<int> BeforeDetach { get; set; } = _ => { };

    /// <summary>Where what was learned of domains is kept.</summary>
    public string HeatDirectory => Path.Combine(_root.FullName, "heat");

    /// <summary>Where what is only shown of them is kept.</summary>
    public string PicturesDirectory => Path.Combine(_root.FullName, "pictures");

    /// <summary>What attaching throws, if anything.</summary>
    public GuestMemoryException? AttachError { get; set; }

    public bool DirtyLogging { get; set; }

    /// <summary>Whether the guest runs guests of its own, as harvests tell.</summary>
    public bool NestedGuests { get; set; }

    /// <summary>The same, as asked between them.</summary>
    public bool NestedGuestsNow { get; set; }

    /// <summary>Whether what they touch is in harvests.</summary>
    public bool NestedSeen { get; set; }

    public bool Confidential { get; set; }

    public ulong Generation { get; set; } = 1;

    /// <summary>Pages in the guest's memslots, from the first; to be set together with a new <see cref="Generation"/>.</summary>
    public int SlotPages { get; set; } = GuestPages;

    /// <summary>Samplers attached and not yet disposed.</summary>
    public int Attached => Volatile.Read(ref _attached);

    /// <summary>Samplers attached so far.</summary>
    public int Attachments => Volatile.Read(ref _attachments);

    public int Harvests { get; private set; }

    public long MovedPages { get; private set; }

    /// <summary>Calls to move_pages that were to move something.</summary>
    public int MoveCalls => Volatile.Read(ref _moveCalls);

    /// <summary>What happens to the guest just before such a call.</summary>
    public Action? BeforeMove { get; set; }

    /// <summary>The most pages that were on the fast node after any call that moved some, since it was last set.</summary>
    public int MostFast { get; set; }

    public int FastPages => NodeOf.AsSpan(0, GrownTo).Count(0);

    public int HotFastPages => HotPages.Count(page => NodeOf[page] == 0);

    public DomainLoopContext Context(AgentConfig? config = null) => Context(config, this, this);

    /// <summary>The same with a part of the kernel that differs from this one.</summary>
    public DomainLoopContext Context(AgentConfig? config, IGuestSamplerFactory samplers, INumaCalls calls)
    {
        string sys = Path.Combine(_root.FullName, "sys");
        PageMover mover = new(calls, new PageMoverOptions(), Time);
        return new DomainLoopContext(
            HostMemory.Read(config ??= new AgentConfig(), NumaTopology.Read(sys), Path.Combine(_root.FullName, "proc")),
            samplers,
            mover,
            new PageExchange(mover),
            new RoundScratchPool(() => new ResidencyReader(calls, Path.Combine(_root.FullName, "proc"), sys)),
            new SamplingPace(Interval, HarvestsPerRound: 4, CpuShare: 0.5, config.FaultRate),
            new HeatStore(HeatDirectory, Log),
            new GuestRecords(new HeatStore(PicturesDirectory, Log), Time, Log),
            Loops,
            Time,
            Log)
        {
            HugePages = Splitter,
            Elsewhere = new MovesElsewhere(mover, Time, Path.Combine(_root.FullName, "proc")),
            CpuTime = () => LookTime * _looks++, // asked before and after each
            Procfs = Path.Combine(_root.FullName, "proc"),
        };
    }

    public IGuestSampler Attach(int pid)
    {
        if (AttachError is not null)
            throw AttachError;
        Interlocked.Increment(ref _attached);
        return new FakeSampler(this, Interlocked.Increment(ref _attachments));
    }

    public int MovePages(int pid, ReadOnlySpan<ulong> addresses, int node, Span<int> status, MoveScope scope)
    {
        Interlocked.Increment(ref _moveCalls);
        BeforeMove?.Invoke();
        for (int i = 0; i < addresses.Length; i++)
        {
            bool whole = HugePages && !SplitBlocks.Contains(BlockAt(addresses[i]));
            Array.Fill(NodeOf, node, PageAt(addresses[i]), whole ? PageSizes.BlockPages : 1);
            status[i] = node;
        }
        MovedPages += addresses.Length;
        WriteMigrations();
        MostFast = Math.Max(MostFast, FastPages);
        return 0;
    }

    public int QueryPages(int pid, ReadOnlySpan<ulong> addresses, Span<int> status)
    {
        for (int i = 0; i < addresses.Length; i++)
            status[i] = NodeOf[PageAt(addresses[i])];
        return 0;
    }

    /// <summary>A node that the guest's cpuset forbids, if any. The kernel then moves nothing there.</summary>
    public ForbiddenNode? Forbidden { get; set; }

    public ForbiddenNode? CheckNode(int pid, int node) => pid != 0 && node == Forbidden?.Node ? Forbidden : null;

    /// <summary>Runs of guest pages that are bound strictly to nodes.</summary>
    public IReadOnlyList<(int First, int Count, int[] Nodes)> Bound { get; set; } = [];

    /// <summary>How often that was asked for.</summary>
    public int BindingReads { get; private set; }

    public IReadOnlyList<MemoryBinding> ReadBindings(int pid)
    {
        BindingReads++;
        return [.. Bound.Select(run => new MemoryBinding(AddressOf(run.First), AddressOf(run.First + run.Count), run.Nodes))];
    }

    /// <summary>Nodes with no room.</summary>
    public HashSet<int> FullNodes { get; } = [];

    /// <summary>Brings a node without processors online, with so many MiB.</summary>
    public void AddNode(int node, int mebibytes)
    {
        WriteNode(node, "", "30 30 10", mebibytes);
        Write("sys/devices/system/node/node0/distance", "10 20 30");
        Write("sys/devices/system/node/node1/distance", "20 10 30");
        Write("sys/devices/system/node/online", "0-2");
    }

    /// <summary>Makes it a host of two sockets, with nodes 0 and 1 and two processors each, and slow nodes 2 and 3 behind
    /// them.</summary>
    /// <param name="slow">Whether there are slow nodes.</param>
    public void AddSocket(bool slow = true)
    {
        string[] distances = slow ? ["10 21 24 34", "21 10 34 24", "24 34 10 44", "34 24 44 10"] : ["10 21", "21 10"];
        for (int node = 0; node < distances.Length; node++)
            WriteNode(node, node switch { 0 => "0-1", 1 => "2-3", _ => "" }, distances[node]);
        Write("sys/devices/system/node/online", slow ? "0-3" : "0-1");
    }

    /// <summary>The processors that the guest's virtual CPUs run on, by their number: each uses it
    /// wholly while harvests look.</summary>
    public Dictionary<int, int> VcpusOn { get; } = [];

    /// <summary>The processors that the virtual CPUs may run on; all of the host's two sockets where it does not say.</summary>
    public Dictionary<int, string> Pins { get; } = [];

    /// <summary>The virtual CPUs that stand still.</summary>
    public HashSet<int> Idle { get; } = [];

    private void RunVcpus()
    {
        _ticks += 20;
        foreach ((int vcpu, int cpu) in VcpusOn)
        {
            string task = $"proc/{Environment.ProcessId}/task/{1000 + vcpu}/";
            string zeros = string.Join(' ', Enumerable.Repeat("0", 16));
            Write(task + "stat",
                $"{1000 + vcpu} (CPU {vcpu}/KVM) S 1 1 1 0 -1 0 0 0 0 0 {(Idle.Contains(vcpu) ? 0 : _ticks)} 0 0 0 "
                    + $"20 0 1 0 77 {zeros} {cpu} 0 0\n");
            Write(task + "status", $"Cpus_allowed_list:\t{Pins.GetValueOrDefault(vcpu, "0-3")}\n");
        }
    }

    /// <summary>Pages on each node.</summary>
    public int[] PagesByNode => [.. Enumerable.Range(0, 4).Select(node => NodeOf.Count(of => of == node))];

    /// <summary>Room on nodes that are not without end, in pages, as it is before anything moves.</summary>
    public Dictionary<int, int> RoomOf { get; } = [];

    /// <summary>Changes how much memory a node has.</summary>
    public void Resize(int node, int mebibytes) => Write($"sys/devices/system/node/node{node}/meminfo", Meminfo(node, mebibytes));

    /// <summary>What sysfs says of nodes now.</summary>
    public NumaTopology ReadTopology() => NumaTopology.Read(Path.Combine(_root.FullName, "sys"));

    /// <summary>A file of the host.</summary>
    public string PathOf(string path) => Path.Combine(_root.FullName, path);

    /// <summary>Writes a file of the host.</summary>
    public void Write(string path, string text)
    {
        string full = Path.Combine(_root.FullName, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }

    /// <summary>CPU time that moving a page takes.</summary>
    public TimeSpan MoveTime { get; set; }

    public TimeSpan ThreadTime() => MoveTime * MovedPages;

    public long FreeBytes(int node) => FullNodes.Contains(node) ? 0
        : RoomOf.TryGetValue(node, out int room) ? Math.Max(0, room - NodeOf.Count(of => of == node)) * (long)PageSizes.PageBytes
        : long.MaxValue;

    public void Dispose() => _root.Delete(recursive: true);

    private static int PageAt(ulong address) => (int)((address - Hva) / PageSizes.PageBytes);

    private static ulong AddressOf(int page) => Hva + ((ulong)page * PageSizes.PageBytes);

    private static string Meminfo(int node, int mebibytes) =>
        $"Node {node} MemTotal:  {mebibytes * 1024} kB\nNode {node} MemFree:  {mebibytes * 512} kB\n";

    private void WriteNode(int node, string cpus, string distances, int mebibytes = 1024)
    {
        string directory = $"sys/devices/system/node/node{node}/";
        Write(directory + "cpulist", cpus);
        Write(directory + "distance", distances);
        Write(directory + "meminfo", Meminfo(node, mebibytes));
    }

    /// <summary>Has a process run the guest as well.</summary>
    public void AddProcess(int pid)
    {
        _pids.Add(pid);
        WritePagemap(pid);
        Write($"proc/{pid}/statm", $"100000 {GuestPages} 100 1 0 2000 0\n");
    }

    // As a whole, so that a look meanwhile finds one.
    private void WriteMigrations()
    {
        string file = Path.Combine(_root.FullName, "proc", "vmstat");
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        lock (_pids)
        {
            File.WriteAllText(
                file + ".new", $"nr_free_pages 1\npgmigrate_success {MovedByOthers + MovedPages}\npgmigrate_fail 7\n");
            File.Move(file + ".new", file, overwrite: true);
        }
    }

    private void Grow(HarvestBuffers buffers)
    {
        int grownTo = Math.Min(GrownTo + BornPerHarvest, GuestPages);
        for (; GrownTo < grownTo; GrownTo++)
            buffers.Accessed[GrownTo / 64] |= 1UL << (GrownTo % 64);
        WritePagemap();
    }

    /// <summary>Has the kernel tell which frames are of 2 MiB pages, and which the guest's are.</summary>
    public void ShowFrames()
    {
        ulong[] flags = new ulong[GuestPages];
        for (int page = 0; page < GuestPages; page++)
        {
            if (!SplitBlocks.Contains(page / PageSizes.BlockPages))
                flags[page] = 1UL << 12 | 1UL << 22 | (page % PageSizes.BlockPages == 0 ? 1UL << 15 : 1UL << 16);
        }
        using FileStream file = File.Open(PathOf("proc/kpageflags"), FileMode.OpenOrCreate);
        file.Position = FirstFrame * sizeof(ulong);
        file.Write(MemoryMarshal.AsBytes<ulong>(flags));
        WritePagemap();
    }

    // Every page that the guest has is there, most often with its frame hidden, as the kernel shows it to a process without
    // CAP_SYS_ADMIN: the reader then asks move_pages.
    private void WritePagemap()
    {
        foreach (int pid in _pids)
            WritePagemap(pid);
    }

    private void WritePagemap(int pid)
    {
        byte[] entries = new byte[GuestPages * sizeof(ulong)];
        for (int page = 0; page < GrownTo; page++)
        {
            if (page % 2 == 0 || !TornBlocks.Contains(page / PageSizes.BlockPages))
                BinaryPrimitives.WriteUInt64LittleEndian(
                    entries.AsSpan(page * sizeof(ulong)),
                    (1UL << 63) | (SmallEntries ? 1UL << 56 | (uint)(FirstFrame + page) : 0));
        }
        string path =
            Path.Combine(_root.FullName, "proc", pid.ToString(System.Globalization.CultureInfo.InvariantCulture), "pagemap");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using FileStream file = File.Open(path, FileMode.OpenOrCreate);
        file.Position = (long)(Hva / PageSizes.PageBytes * sizeof(ulong));
        file.Write(entries);
    }

    private sealed class FakeSampler(FakeHost host, int number) : IGuestSampler
    {
        private readonly ConcurrentQueue<AccessSample> _samples = [];
        private TimeSpan _harvestTime;
        private ulong _armed;
        private long _lastHarvest;

        public SamplerInfo GetInfo() => new(
            SamplerFeatures.AccessedBits | (host.DirtyLogging ? SamplerFeatures.DirtyLogging : 0)
                | (host.CanSampleFaults ? SamplerFeatures.FaultSampling : 0)
                | (host.NestedGuestsNow ? SamplerFeatures.NestedGuests : 0)
                | (host.NestedSeen ? SamplerFeatures.NestedSeen : 0)
                | (host.Confidential ? SamplerFeatures.Confidential : 0),
            GuestPaging.Npt, 1, 1, GuestPages, host.Generation, 0, _harvestTime, 0, 0, 0, 0, _armed, 0);

        public IReadOnlyList<Memslot> GetMemslots() => [new Memslot(0, Hva, (ulong)host.SlotPages)];

        public HarvestResult Harvest(GfnRange range, HarvestBuffers buffers, HarvestOptions options)
        {
            host.BeforeHarvest();
            host.RunVcpus();
            host.Harvests++;
            _harvestTime += host.HarvestTime;
            buffers.Accessed.Clear();
            HashSet<int> hot = host.HotPagesOf.GetValueOrDefault(number, host.HotPages);
            foreach (int page in hot)
                buffers.Accessed[page / 64] |= 1UL << (page % 64);
            if (host.Time.GetElapsedTime(_lastHarvest) >= host.CalmPeriod)
            {
                foreach (int page in host.CalmPages)
                    buffers.Accessed[page / 64] |= 1UL << (page % 64);
            }
            _lastHarvest = host.Time.GetTimestamp();
            if (host.BornPerHarvest > 0)
                host.Grow(buffers);
            Span<MappingSize> sizes = MemoryMarshal.AsMemory(buffers.Sizes).Span;
            sizes.Fill(host.HugePages && !host.SmallEntries ? MappingSize.Size2M : MappingSize.Size4K);
            foreach (int block in host.SplitBlocks)
                sizes[block] = MappingSize.Size4K;
            if (host.FaultRate > 0)
            {
                _armed += host.Landmines;
                foreach (AccessSample sample in host.Faults(host._sampledKinds))
                    _samples.Enqueue(sample);
            }
            return new HarvestResult(GuestPages, hot.Count, 0, host.Generation)
            {
                IsDirtyLogged = host.DirtyLogging,
                RunsUnseenGuests = host.NestedGuests && !host.NestedSeen,
            };
        }

        public void SampleFaults(AccessKinds kinds, int samplesPerSecond)
        {
            host._sampledKinds = kinds;
            Volatile.Write(ref host._faultRate, samplesPerSecond);
        }

        public int ReadSamples(Span<AccessSample> destination)
        {
            int count = 0;
            while (count < destination.Length && _samples.TryDequeue(out AccessSample sample))
                destination[count++] = sample;
            return count;
        }

        public bool WaitForSamples(TimeSpan timeout) => throw new NotSupportedException();

        public void Dispose()
        {
            host.BeforeDetach(number);
            Volatile.Write(ref host._faultRate, 0);
            Interlocked.Decrement(ref host._attached);
        }
    }
}
