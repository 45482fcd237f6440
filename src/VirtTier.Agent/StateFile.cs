// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Systemd;

namespace VirtTier.Agent;

/// <summary>Files that outlive the agent.</summary>
internal static class StateFile
{
    /// <summary>Where the unit's <c>StateDirectory=</c> is.</summary>
    public static string Directory => ServiceDirectory.Of("STATE_DIRECTORY", "/var/lib/virttier");

    /// <summary>Writes a file so that there is a whole one whenever the agent ends: a new file takes
    /// the old one's place.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Replace(string path, ReadOnlySpan<byte> contents)
    {
        string fresh = path + ".new";
        System.IO.Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        // What lies there is of an agent that was killed, or of somebody else: it is not opened, which a pipe could hold up.
        File.Delete(fresh);
        using (FileStream file = new(fresh, FileMode.CreateNew, FileAccess.Write))
            file.Write(contents);
        File.Move(fresh, path, overwrite: true);
    }
}
