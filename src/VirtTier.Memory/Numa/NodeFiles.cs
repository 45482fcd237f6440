// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Text;
using Microsoft.Win32.SafeHandles;

namespace VirtTier.Memory.Numa;

/// <summary>The files that sysfs has for a NUMA node.</summary>
internal static class NodeFiles
{
    // What sysfs gives for a file at most.
    private const int LongestFile = 4096;

    // 4096 TiB, what a processor can address: sums over all nodes fit as well.
    private const long MostKibibytes = 1L << 42;

    /// <summary>One value of a node's meminfo, in bytes; its lines read <c>Node 0 MemFree:  123 kB</c>.
    /// Null if there is none.</summary>
    /// <exception cref="GuestMemoryException">The file is there and cannot be read.</exception>
    /// <remarks>Read before every batch of pages that moves, so it makes no strings.</remarks>
    public static long? ReadMeminfo(string sysfs, int node, ReadOnlySpan<byte> key)
    {
        string file = MeminfoOf(sysfs, node);
        if (!File.Exists(file))
            return null;
        Span<byte> buffer = stackalloc byte[LongestFile];
        try
        {
            using SafeFileHandle handle = File.OpenHandle(file);
            return Find(buffer[..RandomAccess.Read(handle, buffer, 0)], key);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null; // it has just gone
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new GuestMemoryException(GuestMemoryError.Failed, $"cannot read {file}: {e.Message}");
        }
    }

    /// <summary>The value behind a key in a meminfo, in bytes; null if there is none, or one that no machine can have.</summary>
    public static long? Find(ReadOnlySpan<byte> text, ReadOnlySpan<byte> key)
    {
        int found = text.IndexOf(key);
        return found >= 0
            && Utf8Parser.TryParse(text[(found + key.Length)..].TrimStart((byte)' '), out long kibibytes, out _)
            && kibibytes is >= 0 and <= MostKibibytes
                ? kibibytes * 1024
                : null;
    }

    public static string MeminfoOf(string sysfs, int node) => Path.Combine(DirectoryOf(sysfs, node), "meminfo");

    public static string DirectoryOf(string sysfs, int node) => Path.Combine(Directory(sysfs), $"node{node}");

    public static string Directory(string sysfs) => Path.Combine(sysfs, "devices/system/node");
}
