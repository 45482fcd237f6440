// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Memory;

/// <summary>The files that sysfs has for a NUMA node.</summary>
internal static class NodeFiles
{
    /// <summary>One value of a node's meminfo, in bytes; its lines read <c>Node 0 MemFree:  123 kB</c>. Null if there is none.</summary>
    public static long? ReadMeminfo(string sysfs, int node, string key)
    {
        string file = Path.Combine(Directory(sysfs), $"node{node}", "meminfo");
        if (!File.Exists(file))
            return null;
        foreach (string line in File.ReadLines(file))
        {
            string[] words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length >= 4 && words[2] == key)
                return long.Parse(words[3], CultureInfo.InvariantCulture) * 1024;
        }

        return null;
    }

    public static string Directory(string sysfs) => Path.Combine(sysfs, "devices/system/node");
}
