// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Linux;

namespace VirtTier.Memory;

/// <summary>What /proc says about a process.</summary>
public static class ProcessFacts
{
    /// <summary>When the process started: <see cref="ProcessStat.StartTime"/>.</summary>
    /// <exception cref="GuestMemoryException">The process has ended.</exception>
    public static ulong ReadStartTime(int pid, string procfs = "/proc") => ReadStat(pid, procfs).StartTime;

    /// <summary>CPU time that the process has used, that of its guest included.</summary>
    /// <exception cref="GuestMemoryException">The process has ended.</exception>
    public static TimeSpan ReadCpuTime(int pid, string procfs = "/proc")
    {
        ProcessStat stat = ReadStat(pid, procfs);
        return TimeSpan.FromSeconds((stat.UserTicks + stat.SystemTicks) / (double)ProcessStat.TicksPerSecond);
    }

    /// <summary>The NUMA nodes on which the cpuset of the process lets it have memory.</summary>
    /// <exception cref="GuestMemoryException">The process has ended.</exception>
    public static IReadOnlyList<int> ReadAllowedNodes(int pid, string procfs = "/proc") => ReadList(pid, "Mems_allowed_list:", procfs);

    /// <summary>The processors on which the process may run.</summary>
    /// <exception cref="GuestMemoryException">The process has ended.</exception>
    public static IReadOnlyList<int> ReadAllowedCpus(int pid, string procfs = "/proc") => ReadList(pid, "Cpus_allowed_list:", procfs);

    internal static string Read(int pid, string file, string procfs)
    {
        try
        {
            return File.ReadAllText(Path.Combine(procfs, pid.ToString(CultureInfo.InvariantCulture), file));
        }
        catch (IOException)
        {
            // No such directory, or ESRCH from a read of one that has just gone.
            throw Gone(pid);
        }
    }

    private static ProcessStat ReadStat(int pid, string procfs) => ProcessStat.Read(pid, procfs) ?? throw Gone(pid);

    private static IReadOnlyList<int> ReadList(int pid, string key, string procfs)
    {
        string? line = Read(pid, "status", procfs).Split('\n').FirstOrDefault(l => l.StartsWith(key, StringComparison.Ordinal));
        return line is null
            ? throw new GuestMemoryException(GuestMemoryError.Unsupported, $"/proc/{pid}/status has no {key} line: this kernel has no cpusets")
            : NodeList.Parse(line[key.Length..]);
    }

    private static GuestMemoryException Gone(int pid) => new(GuestMemoryError.ProcessGone, $"process {pid} has ended");
}
