// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Memory.Linux;
using VirtTier.Memory.Numa;
using VirtTier.Primitives;

namespace VirtTier.Memory.Pagemap;

/// <summary>
/// Which NUMA node has a page frame: sysfs divides physical memory into blocks of equal size and links each to its node.
/// </summary>
internal sealed class PfnNodeMap
{
    /// <summary>The block has frames of two nodes, or is not known: ask the kernel.</summary>
    public const byte Unknown = 0xFE;

    // Blocks have 128 MiB or more, and processors address 4096 TiB at most.
    private const int MostBlocks = 1 << 25;

    private readonly ulong _framesPerBlock;
    private readonly byte[] _nodeOfBlock;

    private PfnNodeMap(ulong framesPerBlock, byte[] nodeOfBlock)
    {
        _framesPerBlock = framesPerBlock;
        _nodeOfBlock = nodeOfBlock;
    }

    /// <summary>Reads the map. A kernel without memory blocks (CONFIG_MEMORY_HOTPLUG), or one whose files make no sense, gives
    /// one that knows nothing: then the kernel is asked.</summary>
    public static PfnNodeMap Read(string sysfs)
    {
        string nodesDirectory = NodeFiles.Directory(sysfs);
        if (ReadBlockSize(sysfs) is not ulong blockSize || !Directory.Exists(nodesDirectory))
            return new PfnNodeMap(1, []);

        var blocks = new Dictionary<int, byte>();
        foreach (string nodeDirectory in Directory.EnumerateDirectories(nodesDirectory, "node*"))
        {
            if (!TryNumber(nodeDirectory, "node", out int number))
                continue;
            byte node = number <= Residency.HighestNode ? (byte)number : Residency.BeyondNodes;
            foreach (string link in Directory.EnumerateFileSystemEntries(nodeDirectory, "memory*"))
            {
                if (TryNumber(link, "memory", out int block) && block < MostBlocks)
                    blocks[block] = blocks.ContainsKey(block) ? Unknown : node;
            }
        }

        var nodeOfBlock = new byte[blocks.Count == 0 ? 0 : blocks.Keys.Max() + 1];
        Array.Fill(nodeOfBlock, Unknown);
        foreach ((int block, byte node) in blocks)
            nodeOfBlock[block] = node;
        return new PfnNodeMap(blockSize / PageSizes.PageBytes, nodeOfBlock);
    }

    /// <summary>The node of a page frame, or <see cref="Unknown"/>.</summary>
    public byte NodeOf(ulong frame)
    {
        ulong block = frame / _framesPerBlock;
        return block < (ulong)_nodeOfBlock.Length ? _nodeOfBlock[block] : Unknown;
    }

    private static ulong? ReadBlockSize(string sysfs)
    {
        try
        {
            return ulong.TryParse(
                KernelText.ReadIfPresent(Path.Combine(sysfs, "devices/system/memory/block_size_bytes"))?.Trim(),
                NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong size) && size >= PageSizes.PageBytes
                    ? size
                    : null;
        }
        catch (GuestMemoryException)
        {
            return null;
        }
    }

    private static bool TryNumber(string path, string prefix, out int number) =>
        int.TryParse(Path.GetFileName(path)[prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out number);
}
