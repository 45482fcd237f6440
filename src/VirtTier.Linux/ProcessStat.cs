// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Linux;

/// <summary>What /proc/PID/stat tells of a process; see proc(5).</summary>
/// <param name="State">One letter; Z and X are processes that have ended.</param>
/// <param name="UserTicks">CPU time in user mode, in <see cref="TicksPerSecond"/>; that of a guest is in it.</param>
/// <param name="SystemTicks">CPU time in the kernel, in the same.</param>
/// <param name="StartTime">
/// When it started, in clock ticks since boot. Together with the pid it names one process for ever, where a pid alone may be
/// used again.
/// </param>
public readonly record struct ProcessStat(char State, ulong UserTicks, ulong SystemTicks, ulong StartTime)
{
    /// <summary>USER_HZ: x86 shows times to programs in hundredths of a second, whatever the kernel's own HZ.</summary>
    public const int TicksPerSecond = 100;

    /// <summary>Whether there is only its exit code left, for its parent to fetch.</summary>
    public bool HasEnded => State is 'Z' or 'X';

    /// <summary>Reads that of a process; null when there is no such process, or none that the file makes sense of.</summary>
    public static ProcessStat? Read(int pid, string procfs = "/proc")
    {
        try
        {
            return Parse(File.ReadAllText(Path.Combine(procfs, pid.ToString(CultureInfo.InvariantCulture), "stat")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // no such directory, or ESRCH from a read of one that has just gone
        }
    }

    /// <summary>Reads the content of such a file; null when it makes no sense.</summary>
    public static ProcessStat? Parse(string stat)
    {
        ArgumentNullException.ThrowIfNull(stat);
        // Field 2 is the command in parentheses and may hold blanks and parentheses itself: count from the last one.
        string[] fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > 22 - 3 && Number(14) is { } user && Number(15) is { } system && Number(22) is { } start
            ? new(fields[0][0], user, system, start)
            : null;

        ulong? Number(int field) =>
            ulong.TryParse(fields[field - 3], CultureInfo.InvariantCulture, out ulong number) ? number : null;
    }
}
