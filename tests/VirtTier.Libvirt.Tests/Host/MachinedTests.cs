// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Libvirt.Domains;
using VirtTier.Libvirt.Tests.Fixtures;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>machined's machines, as they come over a real bus, lead to the process of a domain without a pid file.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class MachinedTests
{
    [Fact]
    public async Task The_leader_registered_with_the_domains_uuid_is_its_process_once_it_is_qemu()
    {
        await using TestDriver driver = await TestDriver.StartAsync();
        await using MachinedDouble machined = new(driver.BusAddress);
        TestDomain domain = new("t1");
        await driver.CreateAsync(domain);
        await using WatchedHost watched = WatchedHost.ByHintsOf(driver);
        await watched.UntilAsync("t1", d => d.State == DomainState.Running);
        Assert.Null(watched.Find("t1")!.Process);

        using Process leader = StartLeader(domain.Uuid);
        machined.Register("qemu-1-other", Guid.NewGuid(), 1);
        machined.Register("qemu-2-t1", domain.Uuid, leader.Id);
        await watched.UntilAsync("t1", d => d.Process?.Pid == leader.Id);

        await EndAsync(leader);
        await watched.UntilGoneAsync("t1"); // whatever the test driver says, whose domains have no processes
    }

    [Fact]
    public async Task A_pid_that_another_process_got_is_not_the_domains_and_one_that_the_domain_got_again_is_new()
    {
        HostRing.RequireRoot();
        await using TestDriver driver = await TestDriver.StartAsync();
        await using MachinedDouble machined = new(driver.BusAddress);
        TestDomain domain = new("t1");
        await driver.CreateAsync(domain);
        await using WatchedHost watched = WatchedHost.ByHintsOf(driver);
        await watched.UntilLinkAsync(connected: true);
        using Process first = StartLeader(domain.Uuid);
        machined.Register("qemu-1-t1", domain.Uuid, first.Id);
        await watched.UntilAsync("t1", d => d.Process?.Pid == first.Id);
        ProcessIdentity identity = watched.Find("t1")!.Process!.Value;

        // machined goes on to name the pid, as it does until it has heard of the end.
        await EndAsync(first);
        using Process stranger = await StartAtAsync(identity.Pid, () => StartLeader(Guid.NewGuid()));
        watched.Monitor.Wake();
        await watched.UntilGoneAsync("t1");
        await LookOnceMoreAsync(watched, driver);
        Assert.Null(watched.Find("t1"));

        await EndAsync(stranger);
        using Process second = await StartAtAsync(identity.Pid, () => StartLeader(domain.Uuid));
        watched.Monitor.Wake();
        await watched.UntilAsync("t1", d => d.Process?.Pid == identity.Pid);
        Assert.NotEqual(identity, watched.Find("t1")!.Process);
        await EndAsync(second);
    }

    /// <summary>Waits for a look that began now: it finds a domain that was not there before.</summary>
    private static async Task LookOnceMoreAsync(WatchedHost watched, TestDriver driver)
    {
        await driver.CreateAsync(new TestDomain("later"));
        await watched.UntilAsync("later", _ => true);
    }

    /// <summary>A stand-in for QEMU: what counts is the UUID among its arguments. It ends when its standard input does.</summary>
    private static Process StartLeader(Guid uuid) => Process.Start(
        new ProcessStartInfo("sh", ["-c", "read line", "qemu", "-uuid", uuid.ToString()]) { RedirectStandardInput = true })!;

    private static async Task EndAsync(Process process)
    {
        process.StandardInput.Close();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>Starts a process with a given pid, which is free: the kernel gives the next one after the last.</summary>
    private static async Task<Process> StartAtAsync(int pid, Func<Process> start)
    {
        Process? process = null;
        await Eventually.IsTrue(
            async () =>
            {
                if (process is not null)
                    await EndAsync(process); // somebody else was quicker
                await File.WriteAllTextAsync("/proc/sys/kernel/ns_last_pid", (pid - 1).ToString(CultureInfo.InvariantCulture));
                process = start();
                return process.Id == pid;
            },
            () => $"pid {pid} cannot be had");
        return process!;
    }
}
