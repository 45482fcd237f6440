// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace VirtTier.Testbed.Tests;

/// <summary>testbed/lib/image.sh: the building of the host's image takes minutes, and says how far it is.</summary>
public sealed partial class ImageProgressTests
{
    private static readonly string s_folder = Path.Combine(
        Path.GetDirectoryName(EmulatedHost.Named("unused").Script)!, "lib");

    [Fact]
    public async Task Each_step_has_its_number_of_how_many_and_the_time()
    {
        string[] said = await SayAsync("BUILD_BEGUN=$((SECONDS - 65)) BUILD_STEP=0 BUILD_STEPS=2; step one; step two; end_step");
        Assert.Equal(2, said.Length);
        Assert.Matches(@"^image, step 1 of 2: one \(1:0[5-9]\)$", said[0]);
        Assert.Matches(@"^image, step 2 of 2: two \(1:0[5-9]\)$", said[1]);
    }

    [Fact]
    public void As_many_steps_are_announced_as_are_made()
    {
        string script = string.Concat(((string[])["image.sh", "emulator.sh"]).Select(
            name => File.ReadAllText(Path.Combine(s_folder, name))));
        int announced = Added().Matches(script).Sum(match => int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture));
        Assert.Equal(announced, Step().Count(script));
    }

    private static async Task<string[]> SayAsync(string commands)
    {
        ProcessStartInfo start = new("/bin/bash", ["-euc", $"say() {{ echo \"$*\"; }}; . '{s_folder}/image.sh'; {commands}"])
        {
            RedirectStandardOutput = true,
        };
        using Process bash = Process.Start(start)!;
        string output = await bash.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await bash.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, bash.ExitCode);
        return output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    [GeneratedRegex(@"BUILD_STEPS=\$\(\(BUILD_STEPS \+ ([0-9])\)\)")]
    private static partial Regex Added();

    [GeneratedRegex("^ +step \"", RegexOptions.Multiline)]
    private static partial Regex Step();
}
