// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// Random sequences of all that can happen to VMs of a source, daemons restarted and killed in between, held against what others
/// than the agent say, and the samplers that are open.
/// VIRTTIER_CHAOS_RUNS and VIRTTIER_CHAOS_SEED choose how many and the first seed; a seed replays its sequence.
/// VIRTTIER_CHAOS_SOURCE chooses the source: dbus or files (two hosts side by side), pods, proxmox or qemu.
/// </summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class ChaosTests
{
    private const int StepsARun = 12;
    private const int MostStepsBetweenSettling = 4;

    // Those beside libvirt take a run each; they are shorter than those of two hosts with all their daemons.
    public static TheoryData<string, int> Runs
    {
        get
        {
            int first = ReadNumber("VIRTTIER_CHAOS_SEED", 1);
            TheoryData<string, int> runs = [];
            if (Environment.GetEnvironmentVariable("VIRTTIER_CHAOS_SOURCE") is { Length: > 0 } source)
                Add(source, ReadNumber("VIRTTIER_CHAOS_RUNS", 1));
            else
            {
                Add("dbus", ReadNumber("VIRTTIER_CHAOS_RUNS", 3));
                foreach (string other in (string[])["pods", "proxmox", "qemu"])
                    Add(other, 1);
            }
            return runs;

            void Add(string source, int count)
            {
                foreach (int seed in Enumerable.Range(first, count))
                    runs.Add(source, seed);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Runs))]
    public async Task Whatever_happens_the_picture_becomes_the_truth(string source, int seed)
    {
        await using ChaosRun chaos = await ChaosRun.StartAsync(source, seed);
        Random rhythm = new(seed);
        TimeSpan longest = TimeSpan.Zero;
        for (int step = 0; step < StepsARun;)
        {
            for (int left = rhythm.Next(1, MostStepsBetweenSettling + 1); left > 0; left--, step++)
                await chaos.StepAsync();
            TimeSpan took = await chaos.SettleAsync();
            longest = took > longest ? took : longest;
        }
        TestContext.Current.TestOutputHelper?.WriteLine(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{source}, seed {seed}: the picture was right at most {longest.TotalSeconds:0.0} s late in: {chaos.Journal}"));
    }

    private static int ReadNumber(string variable, int otherwise) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text
            ? int.Parse(text, CultureInfo.InvariantCulture)
            : otherwise;
}
