// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Runtime.InteropServices;
using VirtTier.Linux;
using VirtTier.Memory.Layout;
using VirtTier.Memory.Migration;
using VirtTier.Memory.Pagemap;
using VirtTier.Memory.Processes;
using VirtTier.Memory.Sampling;
using VirtTier.Primitives;

namespace VirtTier.Bench;

/// <summary>
/// Stands in for the kernel module and for a slow node: some of the machine's memory blocks are said to be of that, so many that
/// about a quarter of the guest is fast. What is read of the guest below /proc is real. The same pages are touched before each
/// harvest, all of them fast, so that nothing is to be moved.
/// </summary>
internal sealed class QuietKernel : IGuestSamplerFactory, INumaCalls, IDisposable
{
    private const string Nodes = "devices/system/node";
    private const string BlockSize = "devices/system/memory/block_size_bytes";
    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("virttier-quiet-");
    private readonly LinuxNumaCalls _calls = new();
    private readonly QuietGuest _guest;
    private readonly ulong[] _accessed;
    private long _harvests;
    private long _moves;

    public QuietKernel(QuietGuest guest, int pages)
    {
        (_guest, Pages, _accessed) = (guest, pages, new ulong[pages / 64]);
        // All is of one node until it is known what has the guest's pages.
        string size = File.ReadAllText("/sys/" + BlockSize).Trim();
        Write(BlockSize, size);
        int blocks = WriteNodes(block => block);
        byte[] nodes = Look();
        int[] usage = new int[blocks];
        foreach (byte node in nodes)
            usage[node]++;
        HashSet<int> fast = [];
        foreach (int block in Enumerable.Range(0, blocks).OrderByDescending(block => usage[block]))
        {
            if (FastPages + usage[block] <= pages / 4)
            {
                fast.Add(block);
                FastPages += usage[block];
            }
        }
        WriteNodes(block => fast.Contains(block) ? 0 : 1);
        int hot = 0;
        nodes = Look();
        for (int page = 0; page < pages && hot < FastPages / 2; page++)
        {
            if (nodes[page] != 0)
                continue;
            _accessed[page / 64] |= 1UL << (page % 64);
            hot++;
        }
    }

    public int Pages { get; }

    /// <summary>Of them, those on the fast node.</summary>
    public int FastPages { get; }

    /// <summary>Times that accessed bits were taken so far.</summary>
    public long Harvests => Interlocked.Read(ref _harvests);

    /// <summary>Pages that were to be moved so far.</summary>
    public long Moves => Interlocked.Read(ref _moves);

    /// <summary>Where its sysfs is.</summary>
    public string Sysfs => _root.FullName;

    public GuestLayout Layout => GuestLayout.FromMemslots(Memslots);

    public IGuestSampler Attach(int pid) => new Sampler(this);

    public int MovePages(int pid, ReadOnlySpan<ulong> addresses, int node, Span<int> status, MoveScope scope)
    {
        Interlocked.Add(ref _moves, addresses.Length);
        status.Fill(node);
        return 0;
    }

    public int QueryPages(int pid, ReadOnlySpan<ulong> addresses, Span<int> status) =>
        throw new InvalidOperationException("every frame is of a block");

    // The one that this machine has: of one that it has not, the question would be a longer one.
    public ForbiddenNode? CheckNode(int pid, int node) => _calls.CheckNode(pid, 0);

    public IReadOnlyList<MemoryBinding> ReadBindings(int pid) => _calls.ReadBindings(pid);

    public TimeSpan ThreadTime() => Libc.ThreadCpuTime();

    public long FreeBytes(int node) => long.MaxValue;

    public void Dispose() => _root.Delete(recursive: true);

    private Memslot[] Memslots => [new Memslot(0, _guest.Address, (ulong)Pages)];

    private byte[] Look()
    {
        byte[] nodes = new byte[Pages];
        new ResidencyReader(this, "/proc", Sysfs).Read(_guest.Pid, Layout, 0, nodes);
        return nodes;
    }

    private int WriteNodes(Func<int, int> nodeOf)
    {
        string nodes = Path.Combine(_root.FullName, Nodes);
        if (Directory.Exists(nodes))
            Directory.Delete(nodes, recursive: true);
        int blocks = 0;
        foreach (string block in Directory.EnumerateFileSystemEntries("/sys/devices/system/node/node0", "memory*"))
        {
            if (!int.TryParse(Path.GetFileName(block)[6..], CultureInfo.InvariantCulture, out int number))
                continue;
            blocks = Math.Max(blocks, number + 1);
            Write($"{Nodes}/node{nodeOf(number)}/memory{number}", "");
        }
        Write($"{Nodes}/online", "0-1");
        foreach ((int node, string cpus, string distances) in new[] { (0, "0-1023", "10 20"), (1, "", "20 10") })
        {
            string directory = $"{Nodes}/node{node}/";
            Write(directory + "cpulist", cpus);
            Write(directory + "distance", distances);
            Write(directory + "meminfo", $"Node {node} MemTotal:  8388608 kB\nNode {node} MemFree:  524288 kB\n");
        }
        return blocks;
    }

    private void Write(string path, string text)
    {
        string full = Path.Combine(_root.FullName, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }

    private sealed class Sampler(QuietKernel kernel) : IGuestSampler
    {
        public SamplerInfo GetInfo() => new(
            SamplerFeatures.AccessedBits | SamplerFeatures.GuestAttached, GuestPaging.Npt, 1, 1, (ulong)kernel.Pages, 1,
            0, TimeSpan.Zero, 0, 0, 0, 0, 0, 0);

        public IReadOnlyList<Memslot> GetMemslots() => kernel.Memslots;

        public HarvestResult Harvest(GfnRange range, HarvestBuffers buffers, HarvestOptions options)
        {
            Interlocked.Increment(ref kernel._harvests);
            kernel._accessed.CopyTo(buffers.Accessed);
            MemoryMarshal.AsMemory(buffers.Sizes).Span.Fill(MappingSize.Size4K);
            return new HarvestResult(kernel.Pages, kernel.FastPages, 0, 1);
        }

        public void SampleFaults(AccessKinds kinds, int samplesPerSecond)
        {
        }

        public int ReadSamples(Span<AccessSample> destination) => 0;

        public bool WaitForSamples(TimeSpan timeout) => false;

        public void Dispose()
        {
        }
    }
}
