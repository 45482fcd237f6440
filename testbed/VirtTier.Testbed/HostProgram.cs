// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace VirtTier.Testbed;

/// <summary>
/// The running program, brought into an emulated host with the .NET runtime that runs it: the host has none of its own.
/// </summary>
public sealed class HostProgram
{
    private readonly EmulatedHost _host;
    private readonly string _name;
    private readonly string _share;

    private HostProgram(EmulatedHost host, string name, string share)
    {
        _host = host;
        _name = name;
        _share = share;
    }

    /// <summary>The folder of this machine that the host sees as <see cref="Folder"/> of its share,
    /// for files of the program's.</summary>
    public string ShareFolder => _share;

    /// <summary>The program's folder in the host's share, as the host sees it.</summary>
    public string Folder => $"/share/{_name}";

    /// <summary>Copies the program into a running host.</summary>
    /// <param name="host">The host.</param>
    /// <param name="name">Name of its folder there.</param>
    /// <param name="cancel">Stops waiting.</param>
    /// <exception cref="TestbedException">The files could not be copied.</exception>
    public static async Task<HostProgram> InstallAsync(EmulatedHost host, string name, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(host);
        string share = Path.Combine(await host.ShareAsync(cancel).ConfigureAwait(false), name);
        string runtime = RuntimeEnvironment.GetRuntimeDirectory().TrimEnd('/');
        string dotnet = Path.GetFullPath(Path.Combine(runtime, "../../.."));
        await CopyAsync(AppContext.BaseDirectory, share, cancel).ConfigureAwait(false);
        await CopyAsync(runtime, Path.Combine(share, "dotnet", Path.GetRelativePath(dotnet, runtime)),
            cancel).ConfigureAwait(false);
        await CopyAsync(Path.Combine(dotnet, "host"), Path.Combine(share, "dotnet/host"), cancel).ConfigureAwait(false);
        return new HostProgram(host, name, share);
    }

    /// <summary>Compiles a C program into <see cref="ShareFolder"/>.</summary>
    /// <param name="source">Path of its one source file.</param>
    /// <param name="program">Its name.</param>
    /// <param name="cancel">Stops waiting.</param>
    /// <exception cref="TestbedException">It does not compile.</exception>
    public Task CompileAsync(string source, string program, CancellationToken cancel = default) =>
        RunHereAsync(
            "gcc", ["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o", Path.Combine(_share, program), source], cancel);

    /// <summary>Runs the program in the host, in a copy of its folder on the host's own disk.</summary>
    /// <param name="arguments">Its arguments, as a shell takes them.</param>
    /// <param name="limit">Time after which the host ends it; see <see cref="EmulatedHost.RunAsync"/> when null.</param>
    /// <param name="echo">Where each line of its output goes as it comes.</param>
    /// <param name="cancel">Stops waiting.</param>
    /// <returns>Its output and exit code. What it wrote to the file <c>results.xml</c>, if it did, is in
    /// <see cref="ShareFolder"/>.</returns>
    public Task<CommandResult> RunAsync(
        string arguments, TimeSpan? limit = null, TextWriter? echo = null, CancellationToken cancel = default)
    {
        string program = Path.GetFileNameWithoutExtension(Environment.GetCommandLineArgs()[0]);
        return _host.RunAsync(
            $"""
            cp -r {Folder} /root/ && cd /root/{_name} || exit
            DOTNET_ROOT=$PWD/dotnet ./{program} {arguments}
            code=$?
            [ ! -f results.xml ] || cp results.xml {Folder}/
            exit $code
            """,
            limit,
            echo,
            cancel);
    }

    private static async Task CopyAsync(string from, string to, CancellationToken cancel)
    {
        Directory.CreateDirectory(to);
        await RunHereAsync("cp", ["-r", from + "/.", to], cancel).ConfigureAwait(false);
    }

    private static async Task RunHereAsync(string program, string[] arguments, CancellationToken cancel)
    {
        using Process process = Process.Start(program, arguments);
        await process.WaitForExitAsync(cancel).ConfigureAwait(false);
        if (process.ExitCode != 0)
            throw new TestbedException($"{program} {string.Join(' ', arguments)}: exit code {process.ExitCode}");
    }
}
