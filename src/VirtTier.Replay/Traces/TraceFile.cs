// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Replay.Traces;

/// <summary>
/// A trace that somebody names, to be read more than once: what comes through a pipe is kept in a temporary file.
/// </summary>
internal sealed class TraceFile : IDisposable
{
    private const string StandardInput = "-";

    private readonly string _path;
    private readonly FileStream? _kept;

    /// <param name="path">A file or a pipe, or <c>-</c> for the standard input.</param>
    /// <exception cref="IOException">It cannot be read, or what comes cannot be kept.</exception>
    /// <exception cref="UnauthorizedAccessException">There is no right to read it.</exception>
    public TraceFile(string path)
    {
        _path = path;
        Name = path == StandardInput ? "the standard input" : path;
        if (Directory.Exists(path))
            throw new IOException($"{path} is a directory; a trace is a file");
        using Stream stream = path == StandardInput ? Console.OpenStandardInput() : File.OpenRead(path);
        if (stream.CanSeek)
            return;
        _path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        _kept = new FileStream(_path, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            Share = FileShare.Read,
            Options = FileOptions.DeleteOnClose,
            // What a guest accesses is nobody else's business.
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        try
        {
            stream.CopyTo(_kept);
            _kept.Flush();
        }
        catch
        {
            _kept.Dispose();
            throw;
        }
    }

    /// <summary>What messages call it.</summary>
    public string Name { get; }

    /// <summary>Begins to read it.</summary>
    public IEnumerable<TraceAccess> Read() => TraceReader.Read(File.OpenRead(_path));

    /// <summary>Deletes what was kept.</summary>
    public void Dispose() => _kept?.Dispose();
}
