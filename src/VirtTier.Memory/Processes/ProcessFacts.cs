// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Linux;
using VirtTier.Memory.Linux;
using VirtTier.Memory.Numa;
using VirtTier.Primitives;

namespace VirtTier.Memory.Processes;

/// <summary>What /proc says about a process.</summary>
public static class ProcessFacts
{
    /// <summary>When the process started: <see cref="ProcessStat.StartTime"/>.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or the file makes no sense.</exception>
    public static ulong ReadStartTime(int pid, string procfs = "/proc") => ReadStat(pid, procfs).StartTime;

    /// <summary>CPU time that the process has used, that of its guest included.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or the file makes no sense.</exception>
    public static TimeSpan ReadCpuTime(int pid, string procfs = "/proc")
    {
        ProcessStat stat = ReadStat(pid, procfs);
        return TimeSpan.FromSeconds((stat.UserTicks + stat.SystemTicks) / (double)ProcessStat.TicksPerSecond);
    }

    /// <summary>Pages (4 KiB) of memory that the process maps, but for those of hugetlb: the kernel's own sum, which may be a few
    /// hundred behind.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or the file makes no sense.</exception>
    public static long ReadResidentPages(int pid, string procfs = "/proc")
    {
        string statm = Read(pid, "statm", procfs);
        string[] words = statm.Split(' ', 3); // size resident ...
        return words.Length == 3 && long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out long resident)
            ? resident
            : throw Failure(pid, "statm", procfs, $"'{Shorten.ForMessage(statm)}' makes no sense");
    }

    /// <summary>The NUMA nodes on which the cpuset of the process lets it have memory.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or the file makes no sense.</exception>
    internal static IReadOnlyList<int> ReadAllowedNodes(int pid, string procfs = "/proc") =>
        ReadList(pid, "Mems_allowed_list:", procfs);

    /// <summary>The processors on which the process may run.</summary>
    /// <exception cref="GuestMemoryException">The process has ended, or the file makes no sense.</exception>
    public static IReadOnlyList<int> ReadAllowedCpus(int pid, string procfs = "/proc") =>
        ReadList(pid, "Cpus_allowed_list:", procfs);

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

    private static ProcessStat ReadStat(int pid, string procfs)
    {
        string stat = Read(pid, "stat", procfs);
        return ProcessStat.Parse(stat) ?? throw Failure(pid, "stat", procfs, $"'{Shorten.ForMessage(stat)}' makes no sense");
    }

    private static IReadOnlyList<int> ReadList(int pid, string key, string procfs)
    {
        string? line = Read(pid, "status", procfs).Split('\n').FirstOrDefault(l => l.StartsWith(key, StringComparison.Ordinal));
        if (line is null)
            throw new GuestMemoryException(
                GuestMemoryError.Unsupported, $"/proc/{pid}/status has no {key} line: this kernel has no cpusets");
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
        new(
            GuestMemoryError.Failed,
            $"cannot read {Path.Combine(procfs, pid.ToString(CultureInfo.InvariantCulture), file)}: {why}");
}
