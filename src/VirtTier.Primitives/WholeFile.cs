// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Primitives;

/// <summary>Files that somebody else may read at any moment, and that outlive who writes them.</summary>
public static class WholeFile
{
    /// <summary>Writes a file so that there is a whole one whenever the writer ends: a new file takes
    /// the old one's place.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written.</exception>
    public static void Replace(string path, ReadOnlySpan<byte> contents)
    {
        string fresh = path + ".new";
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        // What lies there is of a writer that was killed, or of somebody else: it is not opened, which a pipe could hold up.
        File.Delete(fresh);
        using (FileStream file = new(fresh, FileMode.CreateNew, FileAccess.Write))
            file.Write(contents);
        File.Move(fresh, path, overwrite: true);
    }
}
