// SPDX-License-Identifier: Apache-2.0
using System.Buffers.Text;
using Microsoft.Win32.SafeHandles;

namespace VirtTier.Memory;

/// <summary>The files that sysfs has for a NUMA node.</summary>
internal static class NodeFiles
{
    // What sysfs gives for a file at most.
    private const int LongestFile = 4096;

    /// <summary>One value of a node's meminfo, in bytes; its lines read <c>Node 0 MemFree:  123 kB</c>. Null if there is none.</summary>
    /// <remarks>Read before every batch of pages that moves, so it makes no strings.</remarks>
    public static long? ReadMeminfo(string sysfs, int node, ReadOnlySpan<byte> key)
    {
        string file = Path.Combine(Directory(sysfs), $"node{node}", "meminfo");
        if (!File.Exists(file))
            return null;
        Span<byte> buffer = stackalloc byte[LongestFile];
        using SafeFileHandle handle = File.OpenHandle(file);
        ReadOnlySpan<byte> text = buffer[..RandomAccess.Read(handle, buffer, 0)];
        int found = text.IndexOf(key);
        return found >= 0 && Utf8Parser.TryParse(text[(found + key.Length)..].TrimStart((byte)' '), out long kibibytes, out _)
            ? kibibytes * 1024
            : null;
    }

    public static string Directory(string sysfs) => Path.Combine(sysfs, "devices/system/node");
}
