// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;

namespace VirtTier.Agent.Tests;

/// <summary>Arithmetic is checked in all of src, but for what is named here.</summary>
public sealed class CheckedArithmeticTests
{
    // Hashes and encodings that mean to wrap, an ioctl's number, and loops over each page of a guest.
    private static readonly string[] s_unchecked =
        ["Libc.cs", "MoveMatcher.cs", "PageHistory.cs", "PageState.cs", "PingPongMeter.cs", "TouchRates.cs", "TraceWriter.cs"];

    private static string Source => Path.Combine(Repository.Root, "src");

    [Fact]
    public void No_project_is_without()
    {
        const string Property = "CheckForOverflowUnderflow";
        XElement set = Assert.Single(XElement.Load(Path.Combine(Repository.Root, "Directory.Build.props")).Descendants(Property));
        Assert.Equal("true", set.Value);
        Assert.Contains("src'", (string?)set.Parent!.Attribute("Condition"), StringComparison.Ordinal);
        Assert.All(Directory.EnumerateFiles(Source, "*.csproj", SearchOption.AllDirectories), project =>
            Assert.DoesNotContain(Property, File.ReadAllText(project), StringComparison.Ordinal));
    }

    [Fact]
    public void What_is_not_checked_is_known() => Assert.Equal(s_unchecked,
        Directory.EnumerateFiles(Source, "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal)
                && File.ReadLines(file).Any(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal)
                    && line.Contains("unchecked", StringComparison.Ordinal)))
            .Select(file => Path.GetFileName(file)).Order());
}
