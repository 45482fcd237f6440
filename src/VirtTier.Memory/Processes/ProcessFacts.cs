// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Memory.Linux;

namespace VirtTier.Memory;

/// <summary>What /proc says about a process.</summary>
public static class ProcessFacts
{
    // USER_HZ: x86 shows times to programs in hundredths of a second, whatever the kernel's own HZ.
    private const int TicksPerSecond = 100;

    /// <summary>
    /// When the process started, in clock ticks since boot (field 22 of /proc/PID/stat). Together with the pid it names one
    /// process for ever, where a pid alone may be used again.
    /// </summary>
    /// <exception cref="GuestMemoryException">The process has ended, or the file makes no sense.</exception>
    public static ulong ReadStartTime(int pid, string procfs = "/proc") => ReadStat(pid, field: 22, procfs);

    /// <summary>CPU time that the process has used, that of its guest included (fields 14 and 15 of /proc/PID/stat).</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or the file makes no sense.</exception>
    public static TimeSpan ReadCpuTime(int pid, string procfs = "/proc") =>
        TimeSpan.FromSeconds((ReadStat(pid, field: 14, procfs) + ReadStat(pid, field: 15, procfs)) / (double)TicksPerSecond);

    /// <summary>The NUMA nodes on which the cpuset of the process lets it have memory.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or the file makes no sense.</exception>
    public static IReadOnlyList<int> ReadAllowedNodes(int pid, string procfs = "/proc") => ReadList(pid, "Mems_allowed_list:", procfs);

    /// <summary>The processors on which the process may run.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or the file makes no sense.</exception>
    public static IReadOnlyList<int> ReadAllowedCpus(int pid, string procfs = "/proc") => ReadList(pid, "Cpus_allowed_list:", procfs);

    internal static string Read(int pid, string file, string procfs)
    {
        string directory = Path.Combine(procfs, pid.ToString(CultureInfo.InvariantCulture));
        try
        {
            if (KernelText.ReadIfPresent(Path.Combine(directory, file)) is { } text)
                return text;
        }
        catch (GuestMemoryException e) when (e.Kind == GuestMemoryError.Failed && !Directory.Exists(directory))
        {
            // ESRCH from a read of one that has just gone.
        }
        throw new GuestMemoryException(GuestMemoryError.ProcessGone, $"process {pid} has ended");
    }

    private static ulong ReadStat(int pid, int field, string procfs)
    {
        string stat = Read(pid, "stat", procfs);

        // Field 2 is the command in parentheses and may hold blanks and parentheses itself: count from the last one.
        string[] fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return ulong.TryParse(fields.ElementAtOrDefault(field - 3), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number)
            ? number
            : throw Failure(pid, "stat", procfs, $"field {field} of {KernelText.Quote(stat)} is no number");
    }

    private static IReadOnlyList<int> ReadList(int pid, string key, string procfs)
    {
        string? line = Read(pid, "status", procfs).Split('\n').FirstOrDefault(l => l.StartsWith(key, StringComparison.Ordinal));
        if (line is null)
            throw new GuestMemoryException(GuestMemoryError.Unsupported, $"/proc/{pid}/status has no {key} line: this kernel has no cpusets");
        try
        {
            return NodeList.Parse(line[key.Length..]);
        }
        catch (FormatException e)
        {
            throw Failure(pid, "status", procfs, $"{key} {e.Message}");
        }
    }

    private static GuestMemoryException Failure(int pid, string file, string procfs, string why) =>
        new(GuestMemoryError.Failed, $"cannot read {Path.Combine(procfs, pid.ToString(CultureInfo.InvariantCulture), file)}: {why}");
}
