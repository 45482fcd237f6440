// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Linux;

/// <summary>What /proc/PID/task/TID/stat tells of a thread; see proc(5).</summary>
/// <param name="Name">Its name (comm).</param>
/// <param name="Processor">The processor that it ran on last.</param>
/// <param name="Ticks">CPU time that it has used, in <see cref="ProcessStat.TicksPerSecond"/>.</param>
public readonly record struct ThreadStat(string Name, int Processor, ulong Ticks)
{
    /// <summary>Reads that of a thread; null when there is no such thread, or none that the file makes sense of.</summary>
    public static ThreadStat? Read(int pid, int thread, string procfs = "/proc")
    {
        try
        {
            return Parse(File.ReadAllText(Path.Combine(
                procfs, string.Create(CultureInfo.InvariantCulture, $"{pid}/task/{thread}/stat"))));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // no such directory, or ESRCH from a read of one that has just gone
        }
    }

    /// <summary>Reads the content of such a file; null when it makes no sense.</summary>
    public static ThreadStat? Parse(string stat)
    {
        ArgumentNullException.ThrowIfNull(stat);
        // Field 2 is the name in parentheses and may hold blanks and parentheses itself; the processor is field 39.
        int begin = stat.IndexOf('(', StringComparison.Ordinal) + 1;
        int end = stat.LastIndexOf(')');
        return begin > 0 && end >= begin && ProcessStat.Parse(stat) is { } times
            && stat[(end + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries) is { Length: > 39 - 3 } fields
            && int.TryParse(fields[39 - 3], NumberStyles.None, CultureInfo.InvariantCulture, out int processor)
                ? new(stat[begin..end], processor, times.UserTicks + times.SystemTicks)
                : null;
    }
}
