// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Agent.Commands;

namespace VirtTier.Agent.Tests;

/// <summary>The program itself, where its output goes nowhere.</summary>
public sealed class FailedOutputTests
{
    private const string Simulate = "simulate --vms 1 --memory 64MiB --rounds 1";

    [Theory]
    [InlineData("get-\u001b[2J", ">/dev/null", "Unrecognized command or argument 'get-\\u001b[2J'.\n\n", ExitCode.BadInput)]
    [InlineData("report", ">/dev/null", "Option '--html' is required.\n\n", ExitCode.BadInput)]
    [InlineData("--help", ">/dev/full", "virttier: the output cannot be written: No space left on device\n", ExitCode.Attention)]
    [InlineData(Simulate, ">/dev/full", "virttier: the output cannot be written: No space left on device\n", ExitCode.Attention)]
    [InlineData(Simulate, ">&-", "virttier: the output cannot be written: Bad file descriptor\n", ExitCode.Attention)]
    [InlineData(Simulate, ">&- 2>/dev/full", "", ExitCode.Attention)]
    [InlineData(Simulate, "| exec true", "", ExitCode.Success)]
    public async Task It_is_said_in_a_line(string arguments, string redirection, string errors, int status)
    {
        CancellationToken cancel = TestContext.Current.CancellationToken;
        string tool = Path.ChangeExtension(typeof(CommandTree).Assembly.Location, null);
        ProcessStartInfo start = new("/bin/sh", ["-c", $"\"$0\" {arguments} {redirection}", tool])
        {
            RedirectStandardError = true,
        };
        using Process shell = Process.Start(start)!;
        string said = await shell.StandardError.ReadToEndAsync(cancel);
        await shell.WaitForExitAsync(cancel);
        Assert.Equal((errors, status), (said, shell.ExitCode));
    }
}
