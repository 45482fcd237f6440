// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Libvirt.Tests.Host;

/// <summary>Many domains at once: all found, none lost or doubled, nothing leaked.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class ManyDomainsTests
{
    /// <summary>Events of a start or a stop after each of which a domain may be read anew.</summary>
    private const int MostReads = 3;

    /// <summary>One, and on a slow machine those that were given up on: a call that has got no answer
    /// in time is left waiting.</summary>
    private const int MostAtOnce = 3;

    /// <summary>GetXMLDesc and GetJobStats.</summary>
    private const int CallsARead = 2;

    /// <summary>ListDomains, GetAllDomainStats, and machined's list.</summary>
    private const int CallsALook = 3;

    [Fact]
    public async Task Two_hundred_domains_of_the_test_driver_come_and_go()
    {
        await using TestDriver driver = await TestDriver.StartAsync();
        await using WatchedHost watched = WatchedHost.ByHintsOf(driver);
        await watched.UntilLinkAsync(connected: true);
        await TwoHundredComeAndGoAsync(driver, watched); // what is made once, and kept, is made now
        string files = DescribeOpenFiles();

        // The least of several, as the runtime keeps this and that; what is known of one domain takes more than is allowed here.
        long leastGrowth = long.MaxValue;
        for (int round = 0; round < 4; round++)
        {
            long before = CountBytes(watched);
            await TwoHundredComeAndGoAsync(driver, watched);
            leastGrowth = Math.Min(leastGrowth, CountBytes(watched) - before);
        }

        Assert.InRange(leastGrowth, long.MinValue, 200 * 512);
        Assert.Equal(files, DescribeOpenFiles());
    }

    private static async Task TwoHundredComeAndGoAsync(TestDriver driver, WatchedHost watched)
    {
        int before = watched.Monitor.Current.Domains.Count, calls = watched.Bus.Calls;
        Stopwatch watch = Stopwatch.StartNew();
        List<string> paths = [];
        for (int i = 0; i < 200; i++)
            paths.Add(await driver.CreateAsync(new TestDomain($"t{i}") { MemoryMiB = 1 }));
        await UntilCountAsync(watched, before + 200);
        foreach (string path in paths)
            await driver.CallDomainAsync(path, "Destroy", new DBus.BusBody("u", 0u));
        await UntilCountAsync(watched, before);

        AssertCallsAreBounded(watched, watched.Bus.Calls - calls, 200, watch.Elapsed);
    }

    /// <summary>Never one call a domain at once; for each look some, at most one look an interval,
    /// and for each domain those of its own events.</summary>
    private static void AssertCallsAreBounded(WatchedHost watched, int calls, int domains, TimeSpan elapsed)
    {
        double looks = (elapsed / new DomainMonitorOptions().ShortestInterval) + 2;
        Assert.InRange(watched.Bus.MostAtOnce, 1, MostAtOnce);
        Assert.InRange(calls, domains * CallsARead, (domains * 2 * MostReads * CallsARead) + (looks * CallsALook));
    }

    private static long CountBytes(WatchedHost watched)
    {
        watched.Log.Clear();
        return GC.GetTotalMemory(forceFullCollection: true);
    }

    [Fact]
    public async Task Twenty_qemu_processes_come_and_go()
    {
        const int count = 20;
        await using PrivateHost host = await PrivateHost.StartAsync("many");
        await using WatchedHost watched = WatchedHost.Of(host);
        await host.CreateAsync(new TestDomain("first"));
        await watched.UntilAsync("first", d => d.Process is not null);
        await host.VirshAsync("destroy", "first");
        await watched.UntilGoneAsync("first");
        string filesBefore = DescribeOpenFiles();
        int calls = watched.Bus.Calls;
        Stopwatch watch = Stopwatch.StartNew();
        string[] names = [.. Enumerable.Range(0, count).Select(i => $"web{i}")];
        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (name, _) =>
            await host.CreateAsync(new TestDomain(name) { MemoryMiB = 16 }));
        await Eventually.IsTrue(
            () => watched.Monitor.Current.Domains.Count(d => d is { Process: not null, State: DomainState.Running }) == count,
            watched.ToString);
        Assert.All(names, name => Assert.Equal(host.ReadPid(name), watched.Find(name)!.Process!.Value.Pid));

        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (name, _) =>
            await host.VirshAsync("destroy", name));
        await UntilCountAsync(watched, 0);
        AssertCallsAreBounded(watched, watched.Bus.Calls - calls, count, watch.Elapsed);
        await Eventually.IsTrue(
            () => DescribeOpenFiles() == filesBefore, () => $"open are\n{DescribeOpenFiles()}\nand were\n{filesBefore}");
    }

    private static Task UntilCountAsync(WatchedHost watched, int count) => Eventually.IsTrue(
        () => watched.Monitor.Current.Domains.Count == count,
        () => $"{watched.Monitor.Current.Domains.Count} domains, not {count}");

    /// <summary>
    /// What this process has open of the kinds that a monitor opens: sockets, pidfds, inotify, eventfd. The runtime opens
    /// libraries when it first needs them, and closes pipes when the garbage collector gets to them.
    /// </summary>
    private static string DescribeOpenFiles() => string.Join('\n', new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos()
        .Select(file => file.LinkTarget ?? "")
        .Where(target => target.StartsWith("anon_inode:", StringComparison.Ordinal)
            || target.StartsWith("socket:", StringComparison.Ordinal))
        .Order(StringComparer.Ordinal));
}
