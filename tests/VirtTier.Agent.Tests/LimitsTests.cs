// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Configuration;
using VirtTier.Libvirt.Settings;
using VirtTier.Primitives;

namespace VirtTier.Agent.Tests;

/// <summary>Each limit is what the documents say, and what reads the number keeps it.</summary>
public sealed partial class LimitsTests
{
    private static readonly Command[] s_commands = [.. CommandTree.Create().Subcommands];

    public static TheoryData<string> Names => [.. Limits.ByName.Keys];

    [Fact]
    public void The_documents_tables_and_the_code_have_the_same_limits()
    {
        SortedDictionary<string, string> documented = [];
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "docs"), "*.md"))
            ReadTables(file, documented);
        Assert.Equal(
            new SortedDictionary<string, string>(Limits.ByName.ToDictionary(l => l.Key, l => string.Join(", ", l.Value))),
            documented);
    }

    [Fact]
    public void Every_option_with_a_number_has_a_limit()
    {
        Assert.All(s_commands, command => Assert.DoesNotContain(
            command.Subcommands, below => below.Options.Any(option => option.ValueType.IsAssignableTo(typeof(IFormattable)))));
        IEnumerable<string> numbers = s_commands.SelectMany(command => command.Options
            .Where(option => Nullable.GetUnderlyingType(option.ValueType) is var type
                && (type ?? option.ValueType).IsAssignableTo(typeof(IFormattable)) && !option.ValueType.IsEnum)
            .Select(option => $"{command.Name} {option.Name}"));
        Assert.Equal(Limits.ByName.Keys.Where(name => name.Contains(" --", StringComparison.Ordinal)).Order(), numbers.Order());
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void What_lies_beyond_is_refused_with_the_limit_and_both_ends_are_taken(string name)
    {
        foreach (Limit limit in Limits.ByName[name])
        {
            Assert.Null(Refusal(name, Text(limit, limit.Lowest)));
            Assert.Null(Refusal(name, Text(limit, limit.Highest)));
            decimal step = limit.Unit switch
            {
                LimitUnit.Bytes or LimitUnit.BytesPerSecond => 1024,
                LimitUnit.Seconds => 0.001m,
                _ when limit.Lowest != decimal.Truncate(limit.Lowest) => 0.01m,
                _ => 1,
            };
            foreach (string beyond in (string[])[Text(limit, limit.Lowest - step), Text(limit, limit.Highest + step), "NaN",
                "Infinity", "1e9", new string('9', 400)])
            {
                string? refusal = Refusal(name, beyond);
                Assert.True(refusal is not null, $"{name} {beyond} was taken");
                Assert.InRange(refusal.Length, 1, 300);
            }
            Assert.Contains(limit.ToString(), Refusal(name, Text(limit, limit.Highest + step)), StringComparison.Ordinal);
        }
    }

    // Of a table that has the column: 'fast' of "`tiers.fast`, `tiers.slow`", and options with the command of their heading.
    private static void ReadTables(string file, SortedDictionary<string, string> limits)
    {
        string command = "";
        int column = -1;
        foreach (string line in File.ReadLines(file))
        {
            if (CommandHeading().Match(line) is { Success: true } heading)
                command = heading.Groups[1].Value + " ";
            string[] cells = [.. line.Split('|').Select(cell => cell.Trim())];
            if (!line.StartsWith('|'))
                column = -1;
            else if (column < 0)
                column = Array.IndexOf(cells, "limits");
            else if (cells[column].Length > 0)
            {
                foreach (Match named in Named().Matches(cells[1]))
                {
                    string name = named.Groups[1].Value;
                    limits.Add(name.StartsWith('-') ? command + name : name, cells[column]);
                }
            }
        }
    }

    private static string Text(Limit limit, decimal number)
    {
        string text = number.ToString(CultureInfo.InvariantCulture);
        return limit.Unit switch
        {
            LimitUnit.Percent => text + "%",
            LimitUnit.Seconds => text + "s",
            LimitUnit.Bytes => number / 1024 + "KiB",
            LimitUnit.BytesPerSecond => number / 1024 + "KiB/s",
            _ => text,
        };
    }

    private static string? Refusal(string name, string value)
    {
        if (name.Split(' ') is [string command, string option])
        {
            string[] rest = command switch
            {
                "sample" or "heatmap" => ["vm"],
                "record" => ["vm", "file"],
                "replay" when option != "--dram" => ["trace", "--dram", "20%"],
                "replay" => ["trace"],
                _ => [],
            };
            return s_commands.Single(c => c.Name == command).Parse([.. rest, option, value]).Errors is [var error, ..]
                ? error.Message : null;
        }
        if (name.Split('.') is not [string block, string key])
        {
            return TieringSettings.FromAttributes([KeyValuePair.Create(name, value)]).Problems is [var problem, ..]
                ? problem.Message : null;
        }
        try
        {
            string other = key == "fast" ? "slow: [7]" : "fast: [7]";
            ConfigReader.Read("f", block != "tiers" || key == "write_weight"
                ? $"{block}: {{{key}: '{value}'}}" : $"tiers: {{{key}: ['{value}'], {other}}}");
            return null;
        }
        catch (ConfigException e)
        {
            return e.Message;
        }
    }

    [GeneratedRegex("^## `virttier ([a-z]+)")]
    private static partial Regex CommandHeading();

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Named();
}
