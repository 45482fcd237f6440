// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using VirtTier.Memory.Linux;

namespace VirtTier.Memory.Numa;

/// <summary>
/// How a node's memory performs for the processors next to it, as the firmware says (ACPI's HMAT, a CXL device's CDAT).
/// </summary>
/// <param name="ReadLatency">Nanoseconds to read.</param>
/// <param name="WriteLatency">Nanoseconds to write.</param>
/// <param name="ReadBandwidth">MiB a second that can be read.</param>
/// <param name="WriteBandwidth">MiB a second that can be written.</param>
public sealed record NodePerformance(double ReadLatency, double WriteLatency, double ReadBandwidth, double WriteBandwidth)
{
    // What firmware says is not measured, so it moves decisions this far, and no further.
    private const double MostWriteWeight = 4;

    // Seen from processors alone, then from any initiator; see the kernel's admin-guide/mm/numaperf.
    private static readonly string[] s_accessClasses = ["access1", "access0"];

    /// <summary>Reads what the kernel knows of a node; null if it does not know all of it.</summary>
    internal static NodePerformance? Read(string sysfs, int node)
    {
        foreach (string access in s_accessClasses)
        {
            string directory = Path.Combine(NodeFiles.Directory(sysfs), $"node{node}", access, "initiators");
            if (ReadNumber(directory, "read_latency") is double readLatency
                && ReadNumber(directory, "write_latency") is double writeLatency
                && ReadNumber(directory, "read_bandwidth") is double readBandwidth
                && ReadNumber(directory, "write_bandwidth") is double writeBandwidth)
                return new NodePerformance(readLatency, writeLatency, readBandwidth, writeBandwidth);
        }
        return null;
    }

    /// <summary>
    /// Reads of slow memory that a write to it costs as much as: what it loses against fast memory, by latency or by bandwidth,
    /// whichever is worse, over what a read loses. 1 where either loses nothing, as then the figures make no sense.
    /// </summary>
    public static double WriteWeight(NodePerformance fast, NodePerformance slow)
    {
        ArgumentNullException.ThrowIfNull(fast);
        ArgumentNullException.ThrowIfNull(slow);
        double read = Math.Max(slow.ReadLatency / fast.ReadLatency, fast.ReadBandwidth / slow.ReadBandwidth) - 1;
        double write = Math.Max(slow.WriteLatency / fast.WriteLatency, fast.WriteBandwidth / slow.WriteBandwidth) - 1;
        return read > 0 && write > 0 ? Math.Clamp(write / read, 1 / MostWriteWeight, MostWriteWeight) : 1;
    }

    // The kernel writes 0 for what it does not know. A file that is damaged or may not be read says as little.
    private static double? ReadNumber(string directory, string name)
    {
        try
        {
            return double.TryParse(
                KernelText.ReadIfPresent(Path.Combine(directory, name)), NumberStyles.AllowTrailingWhite,
                CultureInfo.InvariantCulture, out double number)
                && number > 0 && double.IsFinite(number)
                    ? number
                    : null;
        }
        catch (GuestMemoryException)
        {
            return null;
        }
    }
}
