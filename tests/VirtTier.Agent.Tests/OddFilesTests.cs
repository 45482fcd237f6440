// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Net.Sockets;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Hook;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;

namespace VirtTier.Agent.Tests;

/// <summary>What is no file, in each place where the agent looks for one that somebody else can put there: nothing waits for it,
/// nothing fails for it, and what is said of it is short.</summary>
public sealed class OddFilesTests : IDisposable
{
    private static readonly TimeSpan s_atOnce = TimeSpan.FromSeconds(30);

    private readonly HostTree _tree = new();
    private readonly FakeLog _log = new();

    public static TheoryData<string> Kinds =>
        ["pipe", "directory", "full directory", "device", "huge", "socket", "dangling", "loop"];

    public void Dispose() => _tree.Dispose();

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_the_hook_wrote_is_left_unread(string kind)
    {
        string file = Make("/run/hook/started.1", kind);
        PoolPromises pool = new(1 << 30, new Dictionary<DomainKey, long>(), new());
        AdmissionControl admission = new(() => pool, TimeProvider.System);
        using HookListener hook = new(admission, () => { }, TimeProvider.System, _log);
        await AtOnce(() =>
        {
            Assert.Null(hook.Admit("web1", file));
            hook.Notify("stopped", file);
        });
        Assert.Equal(2, _log.Lines.Count);
        Assert.All(_log.Lines, line => Assert.InRange(line.Length, 1, 300));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task The_runtime_directory_is_made_anew(string kind)
    {
        string spool = Make("/run/hook", kind), mark = Make("/run/admission-control", kind);
        await AtOnce(() =>
        {
            using HookDirectory? directory = HookDirectory.Create(_tree.At("/run"), out string? problem);
            Assert.Null(problem);
            Assert.Empty(Directory.GetFileSystemEntries(spool));
            Assert.False(Path.Exists(mark));
            Assert.Null(directory!.SetAdmissionControl(true));
            Assert.True(File.Exists(mark));
            File.Delete(mark);
            Make("/run/admission-control", kind);
            Assert.Null(directory.SetAdmissionControl(true)); // the hook asks whether there is anything at all
            Assert.Null(directory.SetAdmissionControl(false));
            Assert.False(Path.Exists(mark));
        });
        Assert.Empty(Directory.GetFileSystemEntries(_tree.At("/run")));
    }

    [Fact]
    public async Task A_mark_that_cannot_be_made_is_said_and_one_that_is_gone_is_not()
    {
        using HookDirectory directory = HookDirectory.Create(_tree.At("/run"), out _)!;
        Directory.Delete(_tree.At("/run"), recursive: true);
        await AtOnce(() =>
        {
            Assert.Null(directory.SetAdmissionControl(false));
            const string expected =
                "admission-control cannot be changed, so that libvirt's qemu hook does not ask before a domain starts: ";
            Assert.Contains(expected, directory.SetAdmissionControl(true), StringComparison.Ordinal);
            Make("/run", "pipe");
            Assert.Contains(expected, directory.SetAdmissionControl(true), StringComparison.Ordinal);
        });
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task What_is_kept_over_a_restart_is_passed_over_and_replaced(string kind)
    {
        RunningDomain domain = Domains.Running();
        HeatStore heat = new(_tree.At("/state/heat"), _log);
        string saved = $"/state/heat/{Path.GetFileName(heat.FileOf(domain.Uuid, Domains.ThisProcess))}";
        foreach (string file in (string[])[saved, $"{saved}.new", "/state/settings.json", "/state/settings.json.new"])
            Make(file, kind);
        await AtOnce(() =>
        {
            Assert.Null(heat.Load(domain.Uuid, Domains.ThisProcess, pages: 512));
            Assert.Empty(new SettingsStore(_tree.At("/state"), _log).Load());
            heat.Save(domain.Uuid, Domains.ThisProcess, [1, 2, 3]);
            heat.Keep([domain]);
        });
        if (!kind.Contains("directory", StringComparison.Ordinal))
            Assert.Equal([1, 2, 3], heat.Load(domain.Uuid, Domains.ThisProcess, pages: 512));
        Assert.All(_log.Lines, line => Assert.InRange(line.Length, 1, 400));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task A_configuration_or_a_pid_file_that_is_none_is_refused(string kind)
    {
        string config = Make("/etc/virttier.yaml", kind), pid = Make("/run/web1.pid", kind);
        using LinuxProcesses processes = new();
        await AtOnce(() =>
        {
            Assert.Null(processes.FindLockHolder(pid));
            if (kind == "dangling")
                Assert.Equal(new AgentConfig(), ConfigReader.ReadFile(config));
            else
                Assert.StartsWith(config, Assert.Throws<ConfigException>(() => ConfigReader.ReadFile(config)).Message,
                    StringComparison.Ordinal);
        });
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public async Task The_hook_itself_is_not_held_up(string kind)
    {
        // The hook's own process number is part of the name, and unknown before: the shell that becomes it puts the thing there.
        string put = kind switch
        {
            "pipe" => "mkfifo \"$f\"",
            "directory" => "mkdir \"$f\"",
            "full directory" => "mkdir -p \"$f/x\"",
            "device" => "ln -s /dev/full \"$f\"",
            "huge" => "truncate -s 1T \"$f\"",
            "socket" => "ln -s /dev/log \"$f\"",
            "dangling" => "ln -s /nonexistent/x \"$f\"",
            _ => "ln -s \"$f\" \"$f\"",
        };
        Directory.CreateDirectory(_tree.At("/hook"));
        ProcessStartInfo start = new("/bin/sh",
            ["-c", $"f=$VIRTTIER_RUNTIME_DIR/hook/started.$$; {put}; exec \"$0\" web1 started begin -",
                Path.Combine(Repository.Root, "hooks", "qemu")])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent/bus";
        start.Environment["VIRTTIER_RUNTIME_DIR"] = _tree.Root;
        using Process hook = Process.Start(start)!;
        try
        {
            await hook.StandardInput.WriteAsync(new string('x', 1 << 20));
            hook.StandardInput.Close();
            await hook.WaitForExitAsync(TestContext.Current.CancellationToken)
                .WaitAsync(s_atOnce, TestContext.Current.CancellationToken);
            string errors = await hook.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            Assert.Equal((0, ""), (hook.ExitCode, errors));
            await Eventually.IsTrue(() => Directory.GetFileSystemEntries(_tree.At("/hook")).Length == 0);
        }
        finally
        {
            hook.Kill(entireProcessTree: true);
        }
    }

    private static Task AtOnce(Action look) =>
        Task.Run(look, TestContext.Current.CancellationToken).WaitAsync(s_atOnce, TestContext.Current.CancellationToken);

    private string Make(string path, string kind)
    {
        string file = _tree.At(path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        switch (kind)
        {
            case "pipe":
                using (Process made = Process.Start("mkfifo", [file]))
                    made.WaitForExit();
                break;
            case "directory":
                Directory.CreateDirectory(file);
                break;
            case "full directory":
                Directory.CreateDirectory(Path.Combine(file, "x"));
                break;
            case "device":
                File.CreateSymbolicLink(file, "/dev/zero");
                break;
            case "huge":
                using (FileStream huge = File.Create(file))
                    huge.SetLength(1L << 40);
                break;
            case "socket":
                using (Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
                {
                    // A socket's path has at most 108 bytes, and its file goes with it unless it is moved.
                    socket.Bind(new UnixDomainSocketEndPoint(_tree.At("/s")));
                    File.Move(_tree.At("/s"), file);
                }
                break;
            case "dangling":
                File.CreateSymbolicLink(file, "/nonexistent/file");
                break;
            default:
                File.CreateSymbolicLink(file, file);
                break;
        }
        return file;
    }
}
