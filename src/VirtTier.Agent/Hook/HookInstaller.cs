// SPDX-License-Identifier: Apache-2.0
namespace VirtTier.Agent.Hook;

/// <summary>Puts the qemu hook where libvirt runs it, beside what others have put there, and takes it away again.</summary>
/// <param name="root">The root of the file system, <c>/</c> but in tests.</param>
internal sealed class HookInstaller(string root)
{
    /// <summary>By this line a file is known as VirtTier's, of whatever version.</summary>
    private const string OwnMark = "libvirt's qemu hook for VirtTier";

    private const UnixFileMode Executable = (UnixFileMode)0b111_101_101;

    // Since libvirt 6.5 the scripts in qemu.d run after the one called qemu (libvirt.org/hooks.html).
    private static readonly Version s_firstWithDirectory = new(6, 5);

    private readonly string _hooks = Path.Combine(root, "etc/libvirt/hooks");

    /// <summary>The script as this program carries it.</summary>
    public static string Script { get; } = ReadScript();

    private string Single => Path.Combine(_hooks, "qemu");

    private string Own => Path.Combine(_hooks, "qemu.d", "virttier");

    /// <summary>Whether the hook is in place, and where.</summary>
    public (HookState State, string Path) Look()
    {
        string? path = new[] { Own, Single }.FirstOrDefault(IsOwn);
        if (path is null)
            return (HookState.Absent, "");
        HookState state = (File.GetUnixFileMode(path) & UnixFileMode.UserExecute) == 0 ? HookState.NotExecutable
            : File.ReadAllText(path) == Script ? HookState.Installed
            : HookState.Outdated;
        return (state, path);
    }

    /// <summary>Installs or updates the hook; gives what was done and what is left to do, a line each.</summary>
    /// <param name="libvirt">The version of libvirt; null when it is not known, which is taken for a recent one.</param>
    /// <exception cref="HookException">Somebody else's file is in the way.</exception>
    public IReadOnlyList<string> Install(Version? libvirt)
    {
        bool first = !HasHook();
        bool alone = libvirt is not null && libvirt < s_firstWithDirectory;
        string path = alone ? Single : Own;
        if (File.Exists(path) && !IsOwn(path))
        {
            throw new HookException(alone
                ? $"{path} is not VirtTier's, and libvirt {libvirt} runs only one: update libvirt to {s_firstWithDirectory} or "
                    + "later, where each has a file of its own"
                : $"{path} is not VirtTier's: move it away");
        }
        if (Look() == (HookState.Installed, path))
            return [$"{path} is in place already"];

        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        // Written beside and moved: libvirt may run it at any moment, and must find a whole one.
        string fresh = Path.Combine(_hooks, ".virttier.new");
        File.WriteAllText(fresh, Script);
        File.SetUnixFileMode(fresh, Executable);
        File.Move(fresh, path, overwrite: true);
        if (!alone && IsOwn(Single))
            File.Delete(Single); // from an older libvirt: two would tell everything twice
        string[] done = [$"{path} installed"];
        return first
            ? [.. done,
                "libvirtd looks for its first hook only when it starts or reloads; tell it: "
                    + "systemctl reload libvirtd (or virtqemud)"]
            : done;
    }

    /// <summary>Takes the hook away; the files of others stay. libvirt need not be told.</summary>
    public IReadOnlyList<string> Remove()
    {
        string[] own = [.. new[] { Own, Single }.Where(IsOwn)];
        foreach (string path in own)
            File.Delete(path);
        return own.Length == 0 ? ["the hook is not installed"] : [.. own.Select(path => $"{path} removed")];
    }

    private bool HasHook() =>
        File.Exists(Single)
            || (Directory.Exists(Path.GetDirectoryName(Own)) && Directory.EnumerateFiles(Path.GetDirectoryName(Own)!).Any());

    private static bool IsOwn(string path) =>
        File.Exists(path) && File.ReadLines(path).Take(5).Any(line => line.Contains(OwnMark, StringComparison.Ordinal));

    private static string ReadScript()
    {
        using StreamReader reader = new(typeof(HookInstaller).Assembly.GetManifestResourceStream("hooks/qemu")!);
        return reader.ReadToEnd();
    }
}

/// <summary>Whether the hook is in place.</summary>
internal enum HookState
{
    /// <summary>It is not.</summary>
    Absent,

    /// <summary>It is, but libvirt passes over it.</summary>
    NotExecutable,

    /// <summary>It is, from another version of VirtTier, or changed.</summary>
    Outdated,

    /// <summary>It is.</summary>
    Installed,
}

/// <summary>The hook cannot be installed; the message says why and what to do.</summary>
internal sealed class HookException(string message) : Exception(message);
