// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Systemd;
using VirtTier.Primitives;

namespace VirtTier.Agent.Hook;

/// <summary>
/// The files by which libvirt's qemu hook (<c>hooks/qemu</c>) learns, without asking, whether an agent runs and what it wants:
/// a directory for the XML of the domains, and a mark while admission control is on. They go with the agent.
/// </summary>
internal sealed class HookDirectory : IDisposable
{
    /// <summary>Where the hook looks; the unit's <c>RuntimeDirectory=</c> makes it.</summary>
    private const string DefaultRuntimeDirectory = "/run/virttier";

    private readonly string _spool;
    private readonly string _mark;

    /// <exception cref="IOException">It cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be made.</exception>
    private HookDirectory(string runtimeDirectory)
    {
        _spool = Path.Combine(runtimeDirectory, "hook");
        _mark = Path.Combine(runtimeDirectory, "admission-control");
        Remove(_mark); // what a killed agent or hook has left
        Remove(_spool);
        Directory.CreateDirectory(_spool, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Where systemd says, or where the hook looks.</summary>
    public static string RuntimeDirectory => ServiceDirectory.Of("RUNTIME_DIRECTORY", DefaultRuntimeDirectory);

    /// <summary>Makes it; null, with the reason, where that is impossible: the hook then does nothing.</summary>
    public static HookDirectory? Create(string runtimeDirectory, out string? problem)
    {
        try
        {
            problem = null;
            return new HookDirectory(runtimeDirectory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            problem = $"{runtimeDirectory} cannot be used, so that libvirt's qemu hook tells nothing: "
                + Shorten.Sentence(e.Message);
            return null;
        }
    }

    /// <summary>Says whether the hook asks, and waits for the answer, before a domain starts.</summary>
    /// <returns>Null, or why the hook cannot be told.</returns>
    public string? SetAdmissionControl(bool wanted)
    {
        try
        {
            if (!wanted)
                Remove(_mark);
            else if (!Path.Exists(_mark))
                new FileStream(_mark, FileMode.CreateNew).Dispose();
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return $"{_mark} cannot be changed, so that libvirt's qemu hook {(wanted ? "does not ask" : "still asks")} before a "
                + $"domain starts: {Shorten.Sentence(e.Message)}";
        }
    }

    public void Dispose()
    {
        try
        {
            Remove(_mark);
            Remove(_spool);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A hook that is just running writes into it. The hook asks in vain then, which it bears.
        }
    }

    // Whatever it is: somebody may have put something else in its place.
    private static void Remove(string path)
    {
        if (Directory.Exists(path))
            Directory.Delete(path, recursive: true);
        else if (Directory.Exists(Path.GetDirectoryName(path)))
            File.Delete(path);
    }
}
