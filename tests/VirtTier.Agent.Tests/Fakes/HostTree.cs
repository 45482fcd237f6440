// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Tests.Fakes;

/// <summary>The files of a host, below a directory of their own.</summary>
internal sealed class HostTree : IDisposable
{
    public string Root { get; } = Directory.CreateTempSubdirectory("virttier-test-").FullName;

    /// <summary>Writes a file, and the directories above it.</summary>
    public HostTree Write(string path, string text)
    {
        string full = At(path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
        return this;
    }

    public string At(string path) => Path.Combine(Root, path.TrimStart('/'));

    public void Dispose() => Directory.Delete(Root, recursive: true);
}
