// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Primitives;

namespace VirtTier.Memory.Pagemap;

/// <summary>
/// Which NUMA node has a page frame: sysfs divides physical memory into blocks of equal size and links each to its node.
/// </summary>
internal sealed class PfnNodeMap
{
    /// <summary>The block has frames of two nodes, or is not known: ask the kernel.</summary>
    public const byte Unknown = 0xFE;

    private readonly ulong _framesPerBlock;
    private readonly byte[] _nodeOfBlock;

    private PfnNodeMap(ulong framesPerBlock, byte[] nodeOfBlock)
    {
        _framesPerBlock = framesPerBlock;
        _nodeOfBlock = nodeOfBlock;
    }

    /// <summary>Reads the map. A kernel without memory blocks (CONFIG_MEMORY_HOTPLUG) gives one that knows nothing.</summary>
    public static PfnNodeMap Read(string sysfs)
    {
        string sizeFile = Path.Combine(sysfs, "devices/system/memory/block_size_bytes");
        if (!File.Exists(sizeFile))
            return new PfnNodeMap(1, []);

        ulong blockSize = ulong.Parse(File.ReadAllText(sizeFile).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        var blocks = new Dictionary<int, byte>();
        foreach (string nodeDirectory in Directory.EnumerateDirectories(Path.Combine(sysfs, "devices/system/node"), "node*"))
        {
            if (!byte.TryParse(Path.GetFileName(nodeDirectory)["node".Length..], CultureInfo.InvariantCulture, out byte node) || node >= Unknown)
                continue;
            foreach (string link in Directory.EnumerateFileSystemEntries(nodeDirectory, "memory*"))
            {
                if (int.TryParse(Path.GetFileName(link)["memory".Length..], CultureInfo.InvariantCulture, out int block))
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
}
