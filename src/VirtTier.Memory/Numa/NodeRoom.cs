// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Primitives;

namespace VirtTier.Memory.Numa;

/// <summary>
/// Room on each node: free memory above the kernel's high watermarks, below which it begins to reclaim. Free 2 MiB pages of a
/// hugetlb pool are not in it; the kernel makes such pages from free memory when they are moved.
/// </summary>
internal sealed class NodeRoom(string sysfs, string procfs, TimeProvider time)
{
    // The watermarks change only when an operator changes sysctls or memory is added; the file that has them is long.
    private static readonly TimeSpan s_watermarksFor = TimeSpan.FromSeconds(10);

    // 4096 TiB, what a processor can address: more is no watermark, and sums of it could overflow.
    private const long MostPages = 1L << 40;

    private readonly Lock _lock = new();
    private Dictionary<int, long>? _watermarks;
    private long _watermarksRead;

    /// <summary>Room on a node now, in bytes; without limit for a node that does not exist.</summary>
    public long ReadBytes(int node) =>
        NodeFiles.ReadMeminfo(sysfs, node, " MemFree:"u8) is long free
            ? Math.Max(0, free - Watermarks().GetValueOrDefault(node))
            : long.MaxValue;

    private Dictionary<int, long> Watermarks()
    {
        lock (_lock)
        {
            if (_watermarks is null || time.GetElapsedTime(_watermarksRead) > s_watermarksFor)
            {
                _watermarks = ReadWatermarks();
                _watermarksRead = time.GetTimestamp();
            }

            return _watermarks;
        }
    }

    /// <summary>
    /// The sum of the zones' high watermarks of each node, in bytes. In /proc/zoneinfo a zone begins with <c>Node 0, zone
    /// Normal</c>, and its watermark reads <c>high 123</c> (with a colon it is a per-processor list's). What cannot be read
    /// counts as 0: the kernel then refuses a move somewhat later than we would.
    /// </summary>
    private Dictionary<int, long> ReadWatermarks()
    {
        var watermarks = new Dictionary<int, long>();
        int? node = 0;
        try
        {
            foreach (string line in File.ReadLines(Path.Combine(procfs, "zoneinfo")))
            {
                string[] words = line.Split((char[]?)null, 3, StringSplitOptions.RemoveEmptyEntries);
                if (words.Length >= 2 && words[0] == "Node")
                    node = int.TryParse(words[1].TrimEnd(','), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
                        ? number
                        : null;
                else if (words.Length == 2 && words[0] == "high" && node is int of
                    && long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out long pages)
                    && pages <= MostPages)
                    watermarks[of] = watermarks.GetValueOrDefault(of) + (pages * PageSizes.PageBytes);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // As far as it went.
        }

        return watermarks;
    }
}
