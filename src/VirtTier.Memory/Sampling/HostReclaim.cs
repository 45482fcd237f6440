// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Sampling;

/// <summary>Whether the host's kernel takes pages of guests by itself.</summary>
public static class HostReclaim
{
    /// <summary>Whether it ranks the pages of guests by their accessed bits, to swap or demote: swap is in use, or demotion
    /// on.</summary>
    /// <param name="root">Of the host's file system.</param>
    /// <returns>False, too, where neither can be read.</returns>
    public static bool RanksGuests(string root = "/")
    {
        // A heading, then a line for each place to swap to.
        return Lines(root, "proc/swaps").Length > 1
            || Lines(root, "sys/kernel/mm/numa/demotion_enabled") is ["true" or "1"];
    }

    private static string[] Lines(string root, string path)
    {
        try
        {
            return File.ReadAllLines(Path.Combine(root, path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
