// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Libvirt.Processes;

/// <summary>How much memory the processes of a cgroup can have at most.</summary>
internal static class CgroupMemory
{
    private const string Hugetlb = "hugetlb.";

    /// <summary>The least limit of a cgroup and of those around it, in bytes. Huge pages that it may have are beside it, as
    /// the kernel counts them by themselves.</summary>
    /// <param name="root">Where cgroups are mounted.</param>
    /// <param name="cgroup">The cgroup, below that.</param>
    /// <returns>Null if there is no limit, or none can be read.</returns>
    /// <remarks>Files of version 2: <c>memory.max</c>, <c>hugetlb.SIZE.max</c>; of version 1: <c>memory.limit_in_bytes</c> and
    /// <c>hugetlb.SIZE.limit_in_bytes</c> in hierarchies of their own (the kernel's documentation, admin-guide/cgroup-v2
    /// and cgroup-v1).</remarks>
    internal static ulong? Limit(string root, string cgroup)
    {
        string[] parts = [.. cgroup.Split('/').Where(part => part is not ("" or "." or ".."))];
        ulong? memory = null;
        ulong? huge = null;
        for (int depth = parts.Length; depth >= 0; depth--)
        {
            string[] path = parts[..depth];
            memory = Least(memory, Read(Path.Combine([root, .. path, "memory.max"])));
            memory = Least(memory, Read(Path.Combine([root, "memory", .. path, "memory.limit_in_bytes"])));
            huge = Least(huge, ReadHuge(Path.Combine([root, .. path]), ".max"));
            huge = Least(huge, ReadHuge(Path.Combine([root, "hugetlb", .. path]), ".limit_in_bytes"));
        }
        return memory is { } bytes ? bytes + Math.Min(huge ?? 0, ulong.MaxValue - bytes) : null;
    }

    private static ulong? Least(ulong? one, ulong? other) => one is null || other < one ? other ?? one : one;

    /// <summary>All sizes together; null where one of them has no limit, or there is none.</summary>
    private static ulong? ReadHuge(string directory, string suffix)
    {
        try
        {
            ulong?[] limits = [.. Directory.EnumerateFiles(directory, Hugetlb + "*" + suffix)
                .Where(file => !file.EndsWith($".rsvd{suffix}", StringComparison.Ordinal)).Select(Read)];
            return limits.Length == 0 || limits.Contains(null) ? null
                : limits.Aggregate(0UL, (sum, limit) => sum + Math.Min(limit!.Value, ulong.MaxValue - sum));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // "max" is no number; version 1 has the highest number of pages for it.
    private static ulong? Read(string file)
    {
        const ulong none = long.MaxValue / 4096 * 4096;
        try
        {
            return ulong.TryParse(File.ReadAllText(file).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out ulong limit)
                && limit < none ? limit : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
