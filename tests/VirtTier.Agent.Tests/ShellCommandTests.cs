// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Diagnostics;
using Spectre.Console;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Doctor;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests;

/// <summary>What is printed for a person to paste is pasted: into a real <c>sh</c>,
/// in which the programs print their words.</summary>
public sealed class ShellCommandTests : IDisposable
{
    private static readonly string[] s_names =
    [
        "web1", "a;id", "my vm", "-dash", "--dash", "$(touch x)", "`id`", "it's", "\"both'", "new\nline", "tab\there",
        "Überweb-日本", "a&b|c>d", "*", "~", "#1", "!x",
        "a=b", "back\\slash", "17", "7c3d2a66-0f0c-4b53-9d1a-0123456789ab", "esc\u001b[2J", "",
    ];

    private readonly HostTree _tree = new();

    public ShellCommandTests()
    {
        foreach (string program in (string[])["virsh", "virttier", "chmod", "aa-complain"])
        {
            _tree.Write($"/bin/{program}", "#!/bin/sh\nprintf '%s\\0' \"${0##*/}\" \"$@\"\n");
            File.SetUnixFileMode(_tree.At($"/bin/{program}"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }
    }

    public static TheoryData<string> Names => [.. s_names];

    public void Dispose() => _tree.Dispose();

    [Theory]
    [MemberData(nameof(Names))]
    public async Task A_shell_hands_on_each_word_as_it_was_meant(string word)
    {
        Assert.Equal(["virsh", word, "and", word], await PasteAsync(ShellLine.Of("virsh", word, "and", word)));
        string file = _tree.At("/bin/a $(id) 'file'");
        await PasteAsync(ShellLine.Write("0-1 ;", file));
        Assert.Equal("0-1 ;\n", await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Every_command_about_a_domain_names_that_domain_and_nothing_else(string name)
    {
        RunningDomain domain = Domains.Running(name: name) with
        {
            Numa = NumaHints.None with { Mode = "restrictive", Nodeset = "0", RestrictiveCells = "0:0" },
            SettingsProblems = [new SettingsProblem("dram", "2", "no unit"), new SettingsProblem("x", "2", "unknown")],
        };
        string[] commands =
        [
            After(Reasons.Off(domain)),
            .. Enum.GetValues<DomainState>().Select(state => Reasons.Paused(domain with { State = state }))
                .Where(text => text.Contains(": vir", StringComparison.Ordinal)).Select(After),
            ForbiddenTier.ByNumatune(domain, 1)!.Mend!, ForbiddenTier.ByCell(domain, 1)!.Mend!,
            .. DomainsCheck.Problems(domain).Select(finding => finding.Mend!),
            .. DomainsCheck.Problems(domain with { SettingsProblems = [new SettingsProblem("tiering", "x", "has content")] })
                .Select(finding => finding.Mend!),
        ];
        Assert.All(commands, command => Assert.DoesNotContain(command, char.IsControl));
        foreach (string command in commands)
        {
            string[] words = await PasteAsync(command);
            Assert.Contains(words[^1], (string[])[name, domain.Uuid.ToString()]);
            Assert.True(!words[^1].StartsWith('-') || words[^2] == "--", command);
            if (words[0] == "virttier")
            {
                ParseResult parsed = SetCommand.Create().Parse(words[2..]);
                Assert.Empty(parsed.Errors);
                Assert.Equal(words[^1], parsed.GetRequiredValue<string>("domain"));
            }
        }
        Assert.False(File.Exists(_tree.At("/bin/x")));
    }

    [Fact]
    public async Task All_bad_settings_are_taken_out_by_one_command_because_one_by_one_is_refused()
    {
        RunningDomain domain = Domains.Running() with
        {
            SettingsProblems = [new SettingsProblem("dram", "2", "no unit"), new SettingsProblem("x", "2", "unknown")],
        };
        string[] words = await PasteAsync(DomainsCheck.Problems(domain).First().Mend!);
        Assert.Equal(["virttier", "set", "--unset", "dram", "--unset", "x", "web1"], words);
        Assert.Equal(["dram", "x"], SetCommand.Create().Parse(words[2..]).GetRequiredValue<string[]>("--unset"));
    }

    [Fact]
    public void A_line_with_a_command_is_not_broken_however_narrow_the_terminal()
    {
        string command = "echo " + string.Join(' ', Enumerable.Repeat("word", 100));
        Assert.Contains(
            command,
            Written(console => new DoctorReport(Severity.Error, [Finding.Error("x", "y", command)]).WriteTo(console)),
            StringComparison.Ordinal);
        DomainStatus domain = Domains.Running().Orders(1).Status(DomainFigures.None) with { Reason = command };
        Assert.Contains(
            command,
            Written(console => StatusTable.WriteTo(
                console, new AgentStatus("1", 5, new LibvirtStatus(true, null), [], 0, [domain]))),
            StringComparison.Ordinal);
    }

    [Theory]
    [Trait("Ring", "host")]
    [InlineData("-dash")]
    [InlineData("a;id")]
    [InlineData("it's $(id)")]
    [InlineData("17")]
    [InlineData("Überweb")]
    public async Task The_real_virsh_finds_the_domain(string name)
    {
        HostRing.RequirePrograms("virsh");
        RunningDomain domain = Domains.Running(name: name);
        _tree.Write("/node.xml",
            $"<node><domain type='test'><name>{name}</name><uuid>{domain.Uuid}</uuid><memory>1024</memory><os>"
                + "<type>hvm</type></os></domain></node>");
        string command = ShellCommand.OnDomain(domain, "virsh", "-c", $"test://{_tree.At("/node.xml")}", "dumpxml");
        Assert.Contains($"<uuid>{domain.Uuid}</uuid>", await ShellAsync(command, "/usr/bin:/bin"), StringComparison.Ordinal);
    }

    private static string After(string reason) => reason[(reason.LastIndexOf(": vir", StringComparison.Ordinal) + 2)..];

    private static string Written(Action<IAnsiConsole> write)
    {
        using StringWriter writer = new();
        IAnsiConsole console =
            AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(writer) });
        console.Profile.Width = 40;
        write(console);
        return writer.ToString();
    }

    private async Task<string[]> PasteAsync(string command) => (await ShellAsync(command, _tree.At("/bin"))).Split('\0')[..^1];

    private async Task<string> ShellAsync(string command, string path)
    {
        ProcessStartInfo start = new("/bin/sh", ["-c", command])
        {
            RedirectStandardOutput = true,
            WorkingDirectory = _tree.At("/bin"),
        };
        start.Environment["PATH"] = path;
        start.Environment["LC_ALL"] = "C.UTF-8";
        using Process shell = Process.Start(start)!;
        string output = await shell.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await shell.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, shell.ExitCode);
        return output;
    }
}
