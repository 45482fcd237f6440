// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Agent.Tests.Host;

/// <summary>
/// Random sequences of all that can happen on two hosts side by side, daemons restarted and killed in between, held against
/// virsh, the pid files and the samplers that are open.
/// VIRTTIER_CHAOS_RUNS and VIRTTIER_CHAOS_SEED choose how many and the first seed; a seed replays its sequence.
/// VIRTTIER_CHAOS_SOURCE chooses how domains are learned of, dbus or files.
/// </summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class ChaosTests
{
    private const int StepsARun = 12;
    private const int MostStepsBetweenSettling = 4;

    public static TheoryData<int> Seeds
    {
        get
        {
            int first = ReadNumber("VIRTTIER_CHAOS_SEED", 1);
            return [.. Enumerable.Range(first, ReadNumber("VIRTTIER_CHAOS_RUNS", 3))];
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Whatever_happens_the_picture_becomes_the_truth(int seed)
    {
        await using Chaos chaos = await Chaos.StartAsync(seed);
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
                $"seed {seed}: the picture was right at most {longest.TotalSeconds:0.0} s late in: {chaos.Journal}"));
    }

    private static int ReadNumber(string variable, int otherwise) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } text
            ? int.Parse(text, CultureInfo.InvariantCulture)
            : otherwise;
}
