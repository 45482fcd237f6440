// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace VirtTier.Testbed;

/// <summary>
/// An emulated host of one name: what <c>testbed/testbed</c> does, for C#. The script is the truth; this class only runs it.
/// </summary>
/// <param name="script">Path of <c>testbed/testbed</c>.</param>
/// <param name="name">Name of the instance; hosts of different names run side by side.</param>
public sealed class EmulatedHost(string script, string name)
{
    /// <summary>The folder in the host where guests keep their files.</summary>
    public const string GuestFolder = GuestDomain.Folder;

    // Only for what hangs: a busy machine is many times slower than a quiet one.
    private static readonly TimeSpan s_defaultLimit = TimeSpan.FromMinutes(15);

    /// <summary>Path of <c>testbed/testbed</c>.</summary>
    public string Script => script;

    /// <summary>The instance's name.</summary>
    public string Name => name;

    /// <summary>What nodes it has: see TESTBED_MACHINE in the script's help.</summary>
    public string Machine { get; init; } = "one-socket";

    /// <summary>More of Debian's packages in its image, separated by spaces.</summary>
    public string Packages { get; init; } = "";

    /// <summary>Its release of Debian, and so its kernel: see TESTBED_DEBIAN in the script's help.</summary>
    public string Debian { get; init; } = "bookworm";

    /// <summary>The port of this machine's loopback that leads to its SSH; null for none. <see cref="Packages"/> must have a
    /// server for it.</summary>
    public int? SshPort { get; init; }

    /// <summary>Finds the script in the repository that holds the running program.</summary>
    /// <exception cref="TestbedException">The program does not run from a checkout.</exception>
    public static EmulatedHost Named(string name, string machine = "one-socket", string debian = "bookworm")
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string candidate = Path.Combine(folder.FullName, "testbed", "testbed");
            if (File.Exists(candidate))
                return new EmulatedHost(candidate, name) { Machine = machine, Debian = debian };
        }
        throw new TestbedException($"no testbed/testbed above {AppContext.BaseDirectory}; run from a checkout of the repository");
    }

    /// <summary>Builds the image where needed, boots the host and returns when libvirt answers in it;
    /// at once if it is up.</summary>
    /// <param name="progress">Told each step of a build, which takes minutes, and every 15 seconds that it goes on.</param>
    /// <param name="cancel">Stops waiting.</param>
    /// <exception cref="TestbedException">It did not come up.</exception>
    public async Task UpAsync(Action<string>? progress = null, CancellationToken cancel = default) =>
        (await ScriptAsync(["up"], null, progress: progress, cancel: cancel).ConfigureAwait(false)).RequireSuccess();

    /// <summary>Switches the host off; nothing happens when it is off.</summary>
    public async Task DownAsync(CancellationToken cancel = default) =>
        (await ScriptAsync(["down"], null, cancel: cancel).ConfigureAwait(false)).RequireSuccess();

    /// <summary>Runs a shell script in the host as root.</summary>
    /// <param name="command">The script.</param>
    /// <param name="limit">Time after which the host ends it, for what hangs; a quarter of an hour when null.</param>
    /// <param name="echo">Where each line of its output goes as it comes, besides the result.</param>
    /// <param name="cancel">Stops waiting; the command itself goes on until its limit.</param>
    public Task<CommandResult> RunAsync(
        string command, TimeSpan? limit = null, TextWriter? echo = null, CancellationToken cancel = default)
    {
        int seconds = (int)Math.Ceiling((limit ?? s_defaultLimit).TotalSeconds);
        return ScriptAsync(
            ["run", "-t", seconds.ToString(CultureInfo.InvariantCulture)], command, echo is null ? null : echo.WriteLine,
            cancel: cancel);
    }

    /// <summary>The folder of this machine that the host sees as <c>/share</c>.</summary>
    public async Task<string> ShareAsync(CancellationToken cancel = default) =>
        (await ScriptAsync(["path"], null, cancel: cancel).ConfigureAwait(false)).RequireSuccess().Trim();

    /// <summary>A clock that counts from now on the time that this host has, see <see cref="HostClock"/>.</summary>
    public async Task<HostClock> ClockAsync(CancellationToken cancel = default) =>
        new(Path.GetDirectoryName(await ShareAsync(cancel).ConfigureAwait(false))!);

    /// <summary>Puts a file of this machine into the host.</summary>
    /// <param name="source">The file here.</param>
    /// <param name="destination">Its whole path there; folders are made.</param>
    /// <param name="cancel">Stops waiting.</param>
    internal async Task CopyInAsync(string source, string destination, CancellationToken cancel = default)
    {
        byte[] content = await File.ReadAllBytesAsync(source, cancel).ConfigureAwait(false);
        string mode = Convert.ToString((int)File.GetUnixFileMode(source), 8);
        await WriteAsync(content, destination, mode, cancel).ConfigureAwait(false);
    }

    /// <summary>Defines and starts a payload guest.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="tiering">Attributes of its metadata, see <see cref="PayloadGuest.DomainXml"/>.</param>
    /// <param name="hugePages">Whether its memory comes in 2 MiB pages; see the overlay's <c>with-thp</c> for how.</param>
    /// <param name="cancel">Stops waiting.</param>
    public async Task StartAsync(
        PayloadGuest guest, string? tiering = null, bool hugePages = false, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(guest);
        await WriteAsync(guest.BuildRom(), guest.RomPath, "644", cancel).ConfigureAwait(false);
        string start = $"start-guest {guest.Name} {guest.LogPath} C";
        await DefineAndStartAsync(guest.Name, guest.DomainXml(tiering), hugePages ? $"with-thp {start}" : start, cancel)
            .ConfigureAwait(false);
    }

    /// <summary>Defines and starts a Linux guest; returns when it has told its hot pages.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="tiering">Attributes of its metadata, see <see cref="LinuxGuest.DomainXml"/>.</param>
    /// <param name="cancel">Stops waiting.</param>
    public Task StartAsync(LinuxGuest guest, string? tiering = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(guest);
        string start = $"start-guest {guest.Name} {guest.LogPath} hot-end";
        return DefineAndStartAsync(guest.Name, guest.DomainXml(tiering), start, cancel);
    }

    /// <summary>Shifts a payload guest's hot set by half its size.</summary>
    public async Task ShiftAsync(PayloadGuest guest, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(guest);
        string command = $"printf {PayloadGuest.ShiftCommand} 1<> {GuestFolder}/{guest.Name}.com1.in";
        (await RunAsync(command, cancel: cancel).ConfigureAwait(false)).RequireSuccess();
    }

    /// <summary>What a payload guest has reported so far.</summary>
    public async Task<PayloadLog> LogOfAsync(PayloadGuest guest, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(guest);
        CommandResult result = await RunAsync($"cat {guest.LogPath}", cancel: cancel).ConfigureAwait(false);
        return PayloadLog.Parse(result.RequireSuccess());
    }

    /// <summary>What a Linux guest has told so far.</summary>
    public async Task<LinuxGuestLog> LogOfAsync(LinuxGuest guest, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(guest);
        CommandResult result = await RunAsync($"cat {guest.LogPath}", cancel: cancel).ConfigureAwait(false);
        return LinuxGuestLog.Parse(result.RequireSuccess());
    }

    private async Task DefineAndStartAsync(string guest, string xml, string start, CancellationToken cancel)
    {
        string script = $"""
            set -e
            cat > /run/{guest}.xml << 'END-OF-XML'
            {xml}
            END-OF-XML
            virsh --quiet define /run/{guest}.xml
            {start}
            """;
        CommandResult result = await RunAsync(script, cancel: cancel).ConfigureAwait(false);
        // A guest that the emulator lost and that was started anew must not go unnoticed.
        await Console.Error.WriteAsync(result.Error).ConfigureAwait(false);
        result.RequireSuccess();
    }

    private async Task WriteAsync(byte[] content, string destination, string mode, CancellationToken cancel)
    {
        string share = await ShareAsync(cancel).ConfigureAwait(false);
        string passing = $"copy-{Guid.NewGuid():N}";
        string here = Path.Combine(share, passing);
        await File.WriteAllBytesAsync(here, content, cancel).ConfigureAwait(false);
        try
        {
            CommandResult result = await RunAsync(
                $"install -D -m {mode} /share/{passing} '{destination}'", cancel: cancel)
                .ConfigureAwait(false);
            result.RequireSuccess();
        }
        finally
        {
            File.Delete(here);
        }
    }

    private async Task<CommandResult> ScriptAsync(
        string[] arguments, string? input, Action<string>? echo = null, Action<string>? progress = null,
        CancellationToken cancel = default)
    {
        var start = new ProcessStartInfo(script, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["TESTBED"] = name;
        start.Environment["TESTBED_MACHINE"] = Machine;
        start.Environment["TESTBED_PACKAGES"] = Packages;
        start.Environment["TESTBED_DEBIAN"] = Debian;
        start.Environment["TESTBED_SSH"] = SshPort?.ToString(CultureInfo.InvariantCulture);
        using Process process = Process.Start(start) ?? throw new TestbedException($"{script} did not start");
        Task<string> output = ReadAsync(process.StandardOutput, echo, cancel);
        Task<string> error = ReadAsync(process.StandardError, progress, cancel);
        await process.StandardInput.WriteAsync(input.AsMemory(), cancel).ConfigureAwait(false);
        process.StandardInput.Close();
        await process.WaitForExitAsync(cancel).ConfigureAwait(false);
        return new CommandResult(process.ExitCode, await output.ConfigureAwait(false), await error.ConfigureAwait(false));
    }

    private static async Task<string> ReadAsync(StreamReader output, Action<string>? echo, CancellationToken cancel)
    {
        if (echo is null)
            return await output.ReadToEndAsync(cancel).ConfigureAwait(false);
        StringBuilder all = new();
        while (await output.ReadLineAsync(cancel).ConfigureAwait(false) is { } line)
        {
            all.Append(line).Append('\n');
            echo(line);
        }
        return all.ToString();
    }
}
