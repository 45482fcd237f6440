// SPDX-License-Identifier: Apache-2.0
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
        Remove(); // what a killed agent or hook has left
        Directory.CreateDirectory(_spool, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>Where systemd says, or where the hook looks.</summary>
    public static string RuntimeDirectory => Environment.GetEnvironmentVariable("RUNTIME_DIRECTORY") ?? DefaultRuntimeDirectory;

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
            problem = $"{runtimeDirectory} cannot be used, so that libvirt's qemu hook tells nothing: {e.Message}";
            return null;
        }
    }

    /// <summary>Whether the hook asks, and waits for the answer, before a domain starts.</summary>
    public bool AdmissionControl
    {
        set
        {
            if (value)
                File.WriteAllText(_mark, "");
            else if (File.Exists(_mark))
                File.Delete(_mark);
        }
    }

    public void Dispose() => Remove();

    private void Remove()
    {
        AdmissionControl = false;
        if (Directory.Exists(_spool))
            Directory.Delete(_spool, recursive: true);
    }
}
