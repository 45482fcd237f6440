// SPDX-License-Identifier: Apache-2.0
using System.Text.RegularExpressions;

namespace VirtTier.Agent.Tests;

/// <summary>Documents that say something of all of a kind, or show again what another one shows.</summary>
public sealed partial class DocumentsTests
{
    private static readonly string[] s_rows =
    [
        .. Lines("operations.md").Select(line => Row().Match(line)).Where(match => match.Success)
            .Select(match => match.Groups[1].Value),
    ];

    [Fact]
    public void Operations_have_a_row_for_each_alert()
    {
        string rules = File.ReadAllText(Path.Combine(Repository.Root, "packaging/prometheus/virttier.rules.yml"));
        Assert.Equal(Alert().Matches(rules).Select(match => match.Groups[1].Value), s_rows.Where(row => row.StartsWith('V')));
    }

    [Fact]
    public void Operations_have_a_row_for_each_line_of_the_doctor()
    {
        string documented = string.Join('\n', Lines("doctor.md"));
        string table = documented[documented.IndexOf("## What it checks", StringComparison.Ordinal)..];
        IEnumerable<string> checks = Check().Matches(table[..table.IndexOf("\n## ", 1, StringComparison.Ordinal)])
            .Select(match => match.Groups[1].Value).Where(name => name != "check" && !name.StartsWith('-'));
        Assert.Equal(checks.Append("domains").Order(), s_rows.Where(row => !row.StartsWith('V')).Order());
    }

    // Those hold what is printed to their own words.
    [Fact]
    public void The_quick_start_shows_what_usage_and_doctor_show()
    {
        HashSet<string> printed = [.. Lines("usage.md").Concat(Lines("doctor.md"))];
        List<string> unknown = [];
        bool isOutput = false;
        foreach (string line in Lines("quick-start.md"))
        {
            if (line == "```")
                isOutput = !isOutput;
            else if (isOutput && !line.StartsWith("# ", StringComparison.Ordinal) && !printed.Contains(line))
                unknown.Add(line);
        }
        Assert.Equal([], unknown);
    }

    private static string[] Lines(string document) =>
        File.ReadAllLines(Path.Combine(Repository.Root, "docs", document));

    [GeneratedRegex(@"^\| `([^`]+)` \|")]
    private static partial Regex Row();

    [GeneratedRegex(@"- alert: (\w+)")]
    private static partial Regex Alert();

    [GeneratedRegex(@"(?m)^\|\s?([^|]+?)\s?\|")]
    private static partial Regex Check();
}
