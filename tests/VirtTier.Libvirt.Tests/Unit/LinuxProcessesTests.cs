// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Processes;
using VirtTier.Linux;

namespace VirtTier.Libvirt.Tests.Unit;

public sealed class LinuxProcessesTests : IDisposable
{
    private readonly LinuxProcesses _processes = new();
    private readonly List<Process> _started = [];

    public void Dispose()
    {
        _processes.Dispose();
        foreach (Process process in _started)
        {
            process.Kill();
            process.Dispose();
        }
    }

    [Fact]
    public void A_process_is_identified_by_pid_and_start_and_its_command_line_read()
    {
        Process sleep = StartSleep();
        ProcessIdentity identity = _processes.Identify(sleep.Id)!.Value;
        Assert.Equal(sleep.Id, identity.Pid);
        Assert.True(identity.StartTime > _processes.Identify(1)!.Value.StartTime);
        Assert.Equal(["sleep", "1234"], _processes.ReadCommandLine(sleep.Id));
    }

    [Fact]
    public async Task A_zombie_has_no_identity()
    {
        // A child of sleep, which fetches no exit codes.
        ProcessStartInfo start = new("sh", ["-c", "sleep 0 & echo $!; exec sleep 1234"]) { RedirectStandardOutput = true };
        Process parent = Process.Start(start)!;
        _started.Add(parent);
        int child = int.Parse((await parent.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken))!,
            CultureInfo.InvariantCulture);
        await Eventually.IsTrue(() => ProcessStat.Read(child)!.Value.HasEnded, () => $"process {child} is no zombie");
        Assert.Null(_processes.Identify(child));
    }

    [Fact]
    public void There_is_nothing_to_say_about_a_process_that_is_gone()
    {
        const int NoSuchPid = int.MaxValue; // above the kernel's highest, PID_MAX_LIMIT
        Assert.Null(_processes.Identify(NoSuchPid));
        Assert.Empty(_processes.ReadCommandLine(NoSuchPid));
        Assert.Null(_processes.FindLockHolder("/nonexistent.pid"));
    }

    [Fact]
    public async Task The_end_of_each_watched_process_is_told_once_and_soon()
    {
        Process[] sleeps = [.. Enumerable.Range(0, 5).Select(_ => StartSleep())];
        int[] ends = new int[sleeps.Length];
        for (int i = 0; i < sleeps.Length; i++)
        {
            int index = i;
            ProcessIdentity identity = _processes.Identify(sleeps[i].Id)!.Value;
            Assert.NotNull(_processes.WatchEnd(identity, () => Interlocked.Increment(ref ends[index])));
        }

        sleeps[3].Kill();
        await Eventually.IsTrue(() => ends[3] == 1, () => "the end was not told");
        Assert.Equal([0, 0, 0, 1, 0], ends);
        foreach (Process sleep in sleeps)
            sleep.Kill();
        await Eventually.IsTrue(() => ends.Sum() == 5, () => string.Join(',', ends));
        Assert.Equal([1, 1, 1, 1, 1], ends);
    }

    [Fact]
    public async Task A_watch_that_was_ended_tells_nothing()
    {
        Process first = StartSleep();
        Process second = StartSleep();
        int ends = 0;
        _processes.WatchEnd(_processes.Identify(first.Id)!.Value, () => Interlocked.Add(ref ends, 100))!.Dispose();
        _processes.WatchEnd(_processes.Identify(second.Id)!.Value, () => Interlocked.Increment(ref ends));
        first.Kill();
        second.Kill();
        await Eventually.IsTrue(() => ends != 0, () => "the end was not told");
        Assert.Equal(1, ends);
    }

    [Fact]
    public void A_process_that_is_not_the_one_meant_has_ended_already()
    {
        Process sleep = StartSleep();
        int ends = 0;
        ProcessIdentity earlier = _processes.Identify(sleep.Id)!.Value with { StartTime = 1 };
        Assert.NotNull(_processes.WatchEnd(earlier, () => ends++));
        Assert.Equal(1, ends);
    }

    [Fact]
    public async Task Pid_files_that_come_and_go_are_told_and_other_files_are_not()
    {
        string directory = Directory.CreateTempSubdirectory("vt-").FullName;
        try
        {
            int changes = 0;
            using IDisposable? watch = _processes.WatchFiles(directory, "*.pid", _ => Interlocked.Increment(ref changes));
            await File.WriteAllTextAsync(Path.Combine(directory, "web1.xml"), "", TestContext.Current.CancellationToken);
            await File.WriteAllTextAsync(Path.Combine(directory, "web1.pid"), "", TestContext.Current.CancellationToken);
            await Eventually.IsTrue(() => changes == 1, () => $"{changes} changes");
            File.Delete(Path.Combine(directory, "web1.pid"));
            await Eventually.IsTrue(() => changes == 2, () => $"{changes} changes");
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }

        Assert.Null(_processes.WatchFiles(directory, "*.pid", _ => { }));
    }

    private Process StartSleep()
    {
        Process sleep = Process.Start("sleep", ["1234"]);
        _started.Add(sleep);

        // Process.Start comes back before the new process may have become the program.
        Assert.True(SpinWait.SpinUntil(() => _processes.ReadCommandLine(sleep.Id) is ["sleep", ..], TimeSpan.FromSeconds(10)));
        return sleep;
    }
}
