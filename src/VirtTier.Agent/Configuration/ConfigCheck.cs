// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Commands;
using VirtTier.Agent.Status;
using VirtTier.Memory.Numa;
using VirtTier.Memory;

namespace VirtTier.Agent.Configuration;

/// <summary>What <c>virttier agent --check</c> does: what the file says by itself, then what it means on this host.</summary>
internal static class ConfigCheck
{
    /// <param name="path">The file.</param>
    /// <param name="readTopology">Reads the host's NUMA topology.</param>
    /// <param name="output">Gets what was checked, and what was found.</param>
    /// <returns>The exit code.</returns>
    /// <exception cref="ConfigException">The file cannot be used, by itself or on this host.</exception>
    public static int Run(string path, Func<NumaTopology> readTopology, TextWriter output)
    {
        AgentConfig config = ConfigReader.ReadFile(path);
        string what = config.IsEmptyFile
            ? "is empty: every key has its default"
            : !File.Exists(path) ? "does not exist: every key has its default" : "good";
        output.WriteLine($"{path}: {what} (checked: syntax, keys, values and their limits)");
        foreach (string warning in config.Warnings)
            output.WriteLine(warning);
        try
        {
            HostMemory host = HostMemory.Read(config, readTopology());
            output.WriteLine(
                $"this host: good: {host.Describe()}; pool {Sizes.Show(host.PoolBytes)} (checked: "
                    + "the tiers' nodes exist and have memory)");
            if (!host.HasSlowTier)
                output.WriteLine(host.OneTierNote);
            return ExitCode.Success;
        }
        catch (GuestMemoryException e) when (e.Kind == GuestMemoryError.Unsupported)
        {
            output.WriteLine($"this host: not checked: {e.Message}");
            return ExitCode.Success;
        }
    }
}
