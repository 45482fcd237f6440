// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using VirtTier.Agent.Tests.Host;
using VirtTier.TestSupport;

namespace VirtTier.Bench;

/// <summary>
/// How long the agent takes to follow, with more and more domains on the host, as a multiple of one `virsh domstate` measured
/// between the same runs. VIRTTIER_REACTION_DOMAINS and VIRTTIER_REACTION_SAMPLES choose how many.
/// </summary>
internal static class ReactionBench
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(2); // of harvests, which are not what is measured

    public static async Task RunAsync(BarTable bars)
    {
        int[] counts = [.. Read("VIRTTIER_REACTION_DOMAINS", "1,20,200").Split(',').Select(Parse)];
        int samples = Parse(Read("VIRTTIER_REACTION_SAMPLES", "50"));
        await using PrivateHost host = await PrivateHost.StartAsync("reaction");
        using StandInKernel kernel = new();
        await using TieredHost tiered = TieredHost.Of(host, kernel, s_interval);
        string image = await host.WriteFileAsync("halts.img", BootSector.Halts);
        await host.DefineAsync(Domain("probe", image));

        // On its feet, and everything compiled, before anything counts.
        await MeasureAsync(host, kernel, tiered, 2);
        int running = 0;
        foreach (int count in counts)
        {
            Stopwatch watch = Stopwatch.StartNew();
            int calls = tiered.Watched.Bus.Calls, before = running;
            for (; running < count - 1; running++) // the probe is one too
                await host.CreateAsync(Domain($"web{running}", image));
            await Eventually.IsTrue(() => kernel.SampledPids.Count == running,
                () => $"{kernel.SampledPids.Count} of {running} are attached");
            int asked = tiered.Watched.Bus.Calls - calls;
            Say($"{running - before} domains started and attached in {watch.Elapsed.TotalSeconds:0} s with {asked} calls");
            (double[] domstate, double[] start, double[] change) = await MeasureAsync(host, kernel, tiered, samples);
            double unit = At(domstate, 0.5);
            string domains = $"{count} domains, in virsh domstate ({unit:0} ms)";
            Say($"{domains}: start to sampler p50 {At(start, 0.5) / unit:0.0}, p99 {At(start, 0.99) / unit:0.0}");
            Say($"{domains}: metadata to budget p50 {At(change, 0.5) / unit:0.0}, p99 {At(change, 0.99) / unit:0.0}");
        }

        foreach (int i in Enumerable.Range(0, running))
            await host.VirshAsync("destroy", $"web{i}");
        await Eventually.IsTrue(() => kernel.SampledPids.Count == 0, () => $"{kernel.SampledPids.Count} samplers are open");
        // One at a time, and those that a slow machine gave up on; never one a domain.
        bars.AtLeast("calls to libvirt at once", tiered.Watched.Bus.MostAtOnce, 1);
        bars.AtMost("calls to libvirt at once", tiered.Watched.Bus.MostAtOnce, 3);
    }

    /// <summary>Times in milliseconds, sorted. Both begin when virsh comes back: 0 means that the
    /// agent was there before it.</summary>
    private static async Task<(double[] Domstate, double[] Start, double[] Change)> MeasureAsync(
        PrivateHost host, StandInKernel kernel, TieredHost tiered, int samples)
    {
        List<double> domstate = [], start = [], change = [];
        for (int i = 0; i < samples; i++)
        {
            await host.VirshAsync("start", "probe");
            int pid = host.ReadPid("probe");
            start.Add(await TimeAsync(() => kernel.SampledPids.Contains(pid)));
            long budget = (4 + (i % 2)) << 20;
            await host.SetMetadataAsync("probe", $"<tiering dram='{budget >> 20}MiB'/>");
            change.Add(
                await TimeAsync(() => tiered.Reconciler.Status().Domains.Any(d => d.Name == "probe" && d.BudgetBytes == budget)));
            Stopwatch watch = Stopwatch.StartNew();
            await host.VirshAsync("domstate", "probe");
            domstate.Add(watch.Elapsed.TotalMilliseconds);
            await host.VirshAsync("destroy", "probe");
            await Eventually.IsTrue(() => !kernel.SampledPids.Contains(pid), () => "the probe's sampler is still open");
        }

        return ([.. domstate.Order()], [.. start.Order()], [.. change.Order()]);
    }

    private static async Task<double> TimeAsync(Func<bool> condition)
    {
        Stopwatch watch = Stopwatch.StartNew();
        await Eventually.IsTrue(condition, () => "the agent does not follow");
        return watch.Elapsed.TotalMilliseconds;
    }

    private static TestDomain Domain(string name, string image) => new TestDomain(name) { MemoryMiB = 8 }.BootingFrom(image);

    private static double At(double[] sorted, double quantile) => sorted[(int)Math.Ceiling(quantile * sorted.Length) - 1];

    private static void Say(FormattableString line) =>
        Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    private static string Read(string variable, string otherwise) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text ? text : otherwise;

    private static int Parse(string text) => int.Parse(text, CultureInfo.InvariantCulture);
}
