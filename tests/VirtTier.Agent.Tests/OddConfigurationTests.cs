// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using VirtTier.Agent.Configuration;

namespace VirtTier.Agent.Tests;

/// <summary>Whatever stands in the configuration, it is read or refused, soon,
/// by a short message that begins with its place.</summary>
public sealed class OddConfigurationTests
{
    // A megabyte of ordinary keys takes some seconds on a machine that does much else.
    private static readonly TimeSpan s_soon = TimeSpan.FromMinutes(1);

    public static TheoryData<string> Pieces =>
    [
        "a: 1\n", "- ", "- a\n", "? ", "? a\n", ": ", "{", "}", "[", "]", ",", "&a ", "*a ", "!", "!!str ",
        "!<a> ", "%YAML 1.2\n",
        "%TAG ! a\n", "---\n", "...\n", "|\n", ">\n", "\"", "'", "\\", "#", "# c\n", "\t", "\r", "\r\n", " ", "\n", "<<: ", "@",
        "`", "~", "=", "\u0085", "\u2028", "\u2029", "\uFEFF", "é", "😀", "a", "a b", "\"\\x41", "\"\\", "a: {b: ", "a: [b, ",
        "pool: {dram: 80%}\n", "rules:\n- match: {name: a*}\n  set: {dram: 1GiB}\n", "  - a\n", "\n  ", "a:\n ", "? [a]\n: ",
        "{a: b, ", "[a, ", "0", "1e9", "-", "+", "<<: *a\n", "&a &b ", "|+9\n", ">-\n  a\n", "a: &x b\n",
    ];

    [Theory]
    [MemberData(nameof(Pieces))]
    public async Task Much_of_anything_is_read_or_refused_soon(string piece)
    {
        foreach (int bytes in (int[])[1, 100, 1 << 20])
        {
            string text = string.Concat(Enumerable.Repeat(piece, Math.Max(1, bytes / piece.Length)));
            await IsReadOrRefusedAsync(text);
            await IsReadOrRefusedAsync("pool: " + text);
            await IsReadOrRefusedAsync("rules: [{match: {name: \"" + text);
        }
    }

    [Theory]
    [InlineData("pool: {dram: 1GiB, dram: 2GiB}")]
    [InlineData("pool: {dram: 1GiB}\npool: {dram: 2GiB}")]
    [InlineData("pool: {dram: [1GiB]}")]
    [InlineData("pool: {dram: {a: b}}")]
    [InlineData("pool: {[dram]: 1GiB}")]
    [InlineData("{pool}: 1")]
    [InlineData("- pool")]
    [InlineData("pool: 80%")]
    [InlineData("pool: {dram: !!binary 1GiB}\n---\n")]
    [InlineData("defaults: {dram: 1GiB, min: 2GiB, max: 1GiB}")]
    [InlineData("defaults: {dram: auto, rate: 0KiB/s}")]
    [InlineData("defaults: {mode: Enforce}")]
    [InlineData("defaults: {shares: 1_000}")]
    [InlineData("defaults: {shares: 0x10}")]
    [InlineData("defaults: {shares: +5}")]
    [InlineData("defaults: {dram: 1,5GiB}")]
    [InlineData("defaults: {dram: '1.5.5GiB'}")]
    [InlineData("defaults: {dram: -1GiB}")]
    [InlineData("defaults: {dram: 1gib}")]
    [InlineData("defaults: {dram: 1GB}")]
    [InlineData("defaults: {dram: ٣GiB}")]
    [InlineData("sampling: {interval: 1}")]
    [InlineData("sampling: {interval: 1h}")]
    [InlineData("sampling: {interval: 1e3ms}")]
    [InlineData("tiers: {fast: 0, slow: 1}")]
    [InlineData("tiers: {fast: [0-1], slow: [2]}")]
    [InlineData("tiers: {fast: [0], slow: [-1]}")]
    [InlineData("rules: [{}]")]
    [InlineData("rules: [1]")]
    [InlineData("rules: {match: {name: a}}")]
    [InlineData("rules: [{match: {name: {}}, owner: false}]")]
    [InlineData("rules: [{match: {nam: a}, owner: false}]")]
    [InlineData("rules: [{match: {name: a}, limit: {dram: auto}}]")]
    [InlineData("rules: [{match: {name: a}, match: {name: b}, owner: false}]")]
    [InlineData("hook: {admission_control: yes}")]
    [InlineData("libvirt: {source: DBus}")]
    [InlineData("costs: {dram_per_gib: NaN}")]
    [InlineData("costs: {dram_per_gib: 1 EUR EUR}")]
    [InlineData("Pool: {dram: 1GiB}")]
    public void What_is_nearly_right_is_refused_by_its_place(string text)
    {
        ConfigException e = Assert.Throws<ConfigException>(() => ConfigReader.Read("f", text));
        Assert.Matches("^f:[0-9]+:[0-9]+: .{10,280}$", e.Message);
    }

    private static async Task IsReadOrRefusedAsync(string text)
    {
        Stopwatch watch = Stopwatch.StartNew();
        await Task.Run(() =>
        {
            try
            {
                ConfigReader.Read("f", text);
            }
            catch (ConfigException e)
            {
                Assert.StartsWith("f:", e.Message, StringComparison.Ordinal);
                Assert.InRange(e.Message.Length, 1, 400);
                Assert.DoesNotContain(e.Message, char.IsControl);
            }
        }).WaitAsync(s_soon);
        if (watch.Elapsed > TimeSpan.FromSeconds(2))
            TestContext.Current.TestOutputHelper?.WriteLine($"{watch.Elapsed.TotalSeconds:F1} s");
    }
}
