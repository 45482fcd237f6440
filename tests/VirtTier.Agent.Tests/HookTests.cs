// SPDX-License-Identifier: Apache-2.0
using System.Collections.Concurrent;
using System.Diagnostics;
using VirtTier.Agent.Tests.Fakes;

namespace VirtTier.Agent.Tests;

/// <summary>The qemu hook with no agent and no bus: libvirt must not notice that it is there.</summary>
public sealed class HookTests
{
    [Theory]
    [InlineData("prepare")]
    [InlineData("start")]
    [InlineData("started")]
    [InlineData("stopped")]
    [InlineData("reconnect")]
    [InlineData("no such operation")]
    public async Task Without_an_agent_the_hook_succeeds_at_once_and_says_nothing(string operation) =>
        Assert.Equal((0, "", ""), await RunAsync(operation, "/nonexistent"));

    [Theory]
    [InlineData("prepare")]
    [InlineData("started")]
    [InlineData("reconnect")]
    public async Task What_a_dead_agent_left_makes_no_difference_and_no_xml_stays_behind(string operation)
    {
        using HostTree run = new();
        run.Write("admission-control", "");
        string spool = Directory.CreateDirectory(run.At("hook")).FullName;

        Assert.Equal((0, "", ""), await RunAsync(operation, run.Root));

        await Eventually.IsTrue(() => Directory.GetFiles(spool).Length == 0);
    }

    [Fact]
    public async Task A_place_for_the_xml_that_cannot_be_written_makes_no_difference()
    {
        using HostTree run = new();
        run.Write("admission-control", "");

        Assert.Equal((0, "", ""), await RunAsync("prepare", run.Root));
    }

    [Theory]
    [InlineData("prepare")]
    [InlineData("started")]
    public async Task A_link_in_the_place_of_its_directory_leads_the_xml_nowhere(string operation)
    {
        using HostTree run = new();
        run.Write("admission-control", "");
        string elsewhere = Directory.CreateDirectory(run.At("elsewhere")).FullName;
        Directory.CreateSymbolicLink(run.At("hook"), elsewhere);
        ConcurrentQueue<string?> made = [];
        using FileSystemWatcher watcher = new(elsewhere);
        watcher.Created += (_, e) => made.Enqueue(e.Name);
        watcher.EnableRaisingEvents = true;

        Assert.Equal((0, "", ""), await RunAsync(operation, run.Root));

        await File.WriteAllTextAsync(Path.Combine(elsewhere, "last"), "", TestContext.Current.CancellationToken);
        await Eventually.IsTrue(() => made.Contains("last"));
        Assert.Equal(["last"], made);
    }

    [Fact]
    public async Task Shellcheck_finds_nothing()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/shellcheck"), "not installed: shellcheck");
        using Process shellcheck = Process.Start(
            new ProcessStartInfo("shellcheck", [Path.Combine(Repository.Root, "hooks", "qemu")])
            {
                RedirectStandardOutput = true,
            })!;
        string output = await shellcheck.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await shellcheck.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal((0, ""), (shellcheck.ExitCode, output));
    }

    private static async Task<(int ExitCode, string Output, string Errors)> RunAsync(string operation, string runtimeDirectory)
    {
        ProcessStartInfo start = new(Path.Combine(Repository.Root, "hooks", "qemu"), ["web1", operation, "begin", "-"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent/bus";
        start.Environment["VIRTTIER_RUNTIME_DIR"] = runtimeDirectory;
        using Process hook = Process.Start(start)!;

        // As large a definition as libvirt may hand over: were it not read, libvirt's write would fail.
        await hook.StandardInput.WriteAsync(new string('x', 1 << 20));
        hook.StandardInput.Close();
        Task<string> output = hook.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> errors = hook.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        // Both ends close only when nobody holds libvirt's pipes any more, also not in the background.
        await Task.WhenAll(output, errors).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        await hook.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (hook.ExitCode, await output, await errors);
    }
}
