// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Memory.Linux;
using VirtTier.Primitives;

namespace VirtTier.Memory.Migration;

/// <summary>
/// How many pages of this host have come to lie in other frames by anybody else's doing: reclaim that demotes, NUMA balancing,
/// compaction, khugepaged, an operator. One look tells it for all guests. Safe from any thread.
/// </summary>
/// <param name="mover">Whose moves are not counted.</param>
/// <param name="time">The clock.</param>
/// <param name="procfs">Where /proc is.</param>
public sealed class MovesElsewhere(PageMover mover, TimeProvider time, string procfs = "/proc")
{
    // The kernel adds up a good hundred counters of each processor for it.
    private static readonly TimeSpan s_keptFor = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private long? _pages;
    private long? _read; // when, by the clock's timestamps

    /// <summary>Pages (4 KiB) so far, of which those of the last second may be missing.
    /// Null where the kernel does not say.</summary>
    /// <remarks>What a call under way has moved counts here until it returns, so the number may also fall.</remarks>
    public long? Count()
    {
        lock (_lock)
        {
            if (_read is not { } read || time.GetElapsedTime(read) >= s_keptFor)
            {
                _pages = Read();
                _read = time.GetTimestamp();
            }
            return _pages;
        }
    }

    private long? Read()
    {
        long own = mover.MovedPages;
        try
        {
            string? text = KernelText.ReadIfPresent(Path.Combine(procfs, "vmstat"));
            return text is null || ReadCounter(text, "pgmigrate_success") is not { } moved ? null
                // Kernels without huge pages do not have the second.
                : moved - own + ((ReadCounter(text, "thp_collapse_alloc") ?? 0) * PageSizes.BlockPages);
        }
        catch (GuestMemoryException)
        {
            return null;
        }
    }

    private static long? ReadCounter(string text, string name)
    {
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
        {
            if (line.Length > name.Length && line.StartsWith(name) && line[name.Length] == ' ')
            {
                return long.TryParse(line[(name.Length + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out long number)
                    && number < long.MaxValue / PageSizes.BlockPages / 2
                        ? number
                        : null;
            }
        }
        return null;
    }
}
