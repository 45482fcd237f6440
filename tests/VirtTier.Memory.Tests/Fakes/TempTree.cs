// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Memory.Tests.Fakes;

/// <summary>A directory with fixture files, removed at the end of the test.</summary>
internal sealed class TempTree : IDisposable
{
    public string Root { get; } = Directory.CreateTempSubdirectory("virttier-").FullName;

    public string PathOf(string path) => Path.Combine(Root, path);

    public TempTree File(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(path))!);
        System.IO.File.WriteAllText(PathOf(path), text);
        return this;
    }

    /// <summary>Writes 64-bit numbers at a place of a sparse file, as in pagemap and kpageflags.</summary>
    public TempTree Words(string path, ulong firstWord, params ReadOnlySpan<ulong> words)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(PathOf(path))!);
        using FileStream file = new(PathOf(path), FileMode.OpenOrCreate, FileAccess.Write);
        file.Position = (long)firstWord * sizeof(ulong);
        file.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes(words));
        return this;
    }

    public void Dispose() => Directory.Delete(Root, recursive: true);
}
