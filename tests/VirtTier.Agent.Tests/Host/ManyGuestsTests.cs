// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using VirtTier.Libvirt.Domains;

namespace VirtTier.Agent.Tests.Host;

/// <summary>As many guests as a large host has, real QEMUs, started as fast as libvirt can and stopped again: each is attached,
/// none leaks.</summary>
[Trait("Ring", "host")]
[Trait("Speed", "long")]
[Collection(HostRing.Name)]
public sealed class ManyGuestsTests
{
    private const int AtOnce = 4; // starts under way
    private const int MostCallsAtOnce = 3; // one, and on a slow machine those that were given up on
    private const int MostReadsADomain = 6; // GetXMLDesc and GetJobStats after each of three events
    private const int CallsALook = 3;

    /// <summary>VIRTTIER_GUESTS chooses another number than two hundred.</summary>
    [Fact]
    public async Task Two_hundred_guests_are_attached_and_let_go()
    {
        int guests = Environment.GetEnvironmentVariable("VIRTTIER_GUESTS") is { Length: > 0 } text
            ? int.Parse(text, CultureInfo.InvariantCulture)
            : 200;
        await using PrivateHost host = await PrivateHost.StartAsync("many");
        using StandInKernel kernel = new();
        await using TieredHost tiered = TieredHost.Of(host, kernel, TimeSpan.FromSeconds(2));
        await tiered.Watched.UntilLinkAsync(connected: true);
        await ComeAndGoAsync(host, kernel, tiered, ["first"]); // what is made once, and kept, is made now
        int files = CountFiles();

        await ComeAndGoAsync(host, kernel, tiered, [.. Enumerable.Range(0, guests).Select(i => $"web{i}")]);

        await Eventually.IsTrue(() => CountFiles() <= files, () => $"{CountFiles()} files are open, and {files} were");
        Assert.InRange(tiered.Watched.Bus.MostAtOnce, 1, MostCallsAtOnce);
        Assert.Equal(0, tiered.Reconciler.Count);
    }

    private static async Task ComeAndGoAsync(PrivateHost host, StandInKernel kernel, TieredHost tiered, string[] names)
    {
        string image = await host.WriteFileAsync("halts.img", BootSector.Halts);
        int calls = tiered.Watched.Bus.Calls;
        Stopwatch watch = Stopwatch.StartNew();
        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (name, _) =>
            await host.CreateAsync(new TestDomain(name) { MemoryMiB = 8 }.BootingFrom(image)));
        TimeSpan started = watch.Elapsed;
        await Eventually.IsTrue(() => kernel.SampledPids.Count == names.Length, () => Describe(kernel, tiered));
        TimeSpan attached = watch.Elapsed;
        Assert.Equal(names.Select(host.ReadPid).Order(), kernel.SampledPids);

        await Parallel.ForEachAsync(names, new ParallelOptions { MaxDegreeOfParallelism = AtOnce }, async (name, _) =>
            await host.VirshAsync("destroy", name));
        TimeSpan stopped = watch.Elapsed;
        await Eventually.IsTrue(
            () => kernel.SampledPids.Count == 0 && tiered.Watched.Monitor.Current.Domains.Count == 0,
            () => Describe(kernel, tiered));

        calls = tiered.Watched.Bus.Calls - calls;
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{names.Length} guests: started in {started.TotalSeconds:0.0} s, attached after {attached.TotalSeconds:0.0} s, "
                + $"stopped in {(stopped - attached).TotalSeconds:0.0} s, "
                + $"let go after {(watch.Elapsed - attached).TotalSeconds:0.0} s, {calls} calls to libvirt and machined, "
                + $"at most {tiered.Watched.Bus.MostAtOnce} at once"));
        double looks = (watch.Elapsed / new DomainMonitorOptions().ShortestInterval) + 2;
        Assert.InRange(calls, names.Length, (names.Length * 2 * MostReadsADomain) + (looks * CallsALook));
    }

    private static string Describe(StandInKernel kernel, TieredHost tiered)
    {
        DomainSnapshot now = tiered.Watched.Monitor.Current;
        IEnumerable<string> log = tiered.Watched.Log.LinesFrom(LogLevel.Information);
        return string.Create(CultureInfo.InvariantCulture,
            $"{kernel.SampledPids.Count} samplers open, {now.Domains.Count(d => d.Process is not null)} processes of "
                + $"{now.Domains.Count} domains known, {now.Link}\n{string.Join('\n', log.TakeLast(40))}");
    }

    /// <summary>What this process has open of the kinds that the agent opens: sockets, pidfds, inotify, eventfd.</summary>
    private static int CountFiles() => new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos().Count(
        file => file.LinkTarget is { } target
            && (target.StartsWith("anon_inode:", StringComparison.Ordinal)
                || target.StartsWith("socket:", StringComparison.Ordinal)));
}
