// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Agent.Tests.Metrics;

namespace VirtTier.Agent.Tests.Pictures;

/// <summary><c>virttier heatmap</c>: how a picture reads.</summary>
public sealed class HeatMapTests
{
    private readonly SamplePictures _pictures = new();
    private readonly DomainStatus _web1 = SampleStatus.Of("web1").Domains[0] with { Pid = SamplePictures.Process.Pid };

    [Fact]
    public void A_hot_set_that_moves_is_a_diagonal_as_the_documentation_shows()
    {
        _pictures.Harvest(320, second => second / 40);
        _pictures.Now -= TimeSpan.FromSeconds(1);
        Usage.Shows("virttier heatmap web1 --last 325s", Text(325, 80, colour: false));
    }

    [Fact]
    public void Without_colours_there_is_no_escape_and_with_them_the_same_cells_in_half_the_lines()
    {
        _pictures.Harvest(40, second => second / 5);
        _pictures.Now -= TimeSpan.FromSeconds(1);
        string[] plain = Text(40, 80, colour: false).Split('\n'), coloured = Text(40, 80, colour: true).Split('\n');
        Assert.DoesNotContain(plain, line => line.Contains('\e', StringComparison.Ordinal));
        Assert.Equal((8 + 4, 4 + 4), (plain.Length, coloured.Length));
        Assert.Equal(plain[0], coloured[0]);
        Assert.StartsWith("           0x0 \e[38;5;228m\e[48;5;234m▀\e[38;5;234m\e[48;5;228m▀\e[38;5;234m\e[48;5;234m▀▀",
            coloured[1], StringComparison.Ordinal);
        Assert.All(coloured[1..5], line => Assert.EndsWith("\e[0m", line, StringComparison.Ordinal));
        Assert.Contains("\e[48;5;240m \e[0m not looked at", coloured[^1], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(80, 54)]   // 160 columns are shrunk by three
    [InlineData(200, 160)]
    [InlineData(1, 20)]
    public void It_fits_the_width(int width, int columns)
    {
        _pictures.Harvest(800, second => second / 100);
        string[] lines = Text(800, width, colour: false).Split('\n');
        Assert.Equal(15 + columns, lines[1].Length);
        Assert.All(lines[1..9], line => Assert.Equal(lines[1].Length, line.Length));
        Assert.Contains(width == 200 ? "2 MiB in 5 s" : width == 80 ? "2 MiB in 15 s" : "2 MiB in 40 s", lines[^2],
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_digit_is_the_share_rounded_up_so_that_anything_shows()
    {
        byte[] cells = [0, 1, 2, 29, 30, 127, 128, 226, 227, 254, 255];
        DomainHeat heat = new("web1", Guid.Empty, DateTimeOffset.UnixEpoch, 5, 2 << 20, [0], cells);
        Assert.Equal("           0x0 .0112558999", HeatMapText.Render(heat, 80, colour: false).ElementAt(1));
    }

    [Fact]
    public void Large_guests_are_shrunk_to_16_lines_of_cells_that_were_looked_at()
    {
        byte[] cells = new byte[256];
        Array.Fill(cells, (byte)255);
        Array.Fill(cells, (byte)1, 0, 8);
        Array.Clear(cells, 16, 8); // of 16 cells, eight that nobody looked at
        DomainHeat heat = new("big", Guid.Empty, DateTimeOffset.UnixEpoch, 5, 1L << 30,
            [.. Enumerable.Range(0, 256).Select(row => (ulong)row << 30)], cells);
        string[] lines = [.. HeatMapText.Render(heat, 80, colour: false)];
        Assert.Equal("           0x0 5", lines[1]);
        Assert.Equal("   0x400000000 9", lines[2]);
        Assert.Equal("  0x3c00000000 9", lines[16]);
        Assert.Contains("A cell is 16 GiB in 5 s.", lines[18], StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_above_a_hole_has_its_own_address()
    {
        _pictures.Harvest(1, _ => 4);
        DomainHeat heat = Heat(5);
        Assert.Equal([6UL << 20, 1UL << 32], heat.Addresses.Skip(3).Take(2));
        Assert.Equal(heat.ToJson(), DomainHeat.FromJson(heat.ToJson()).ToJson());
        Assert.Throws<System.Text.Json.JsonException>(() => DomainHeat.FromJson((heat with { Addresses = [] }).ToJson()));
        Assert.Throws<System.Text.Json.JsonException>(() => DomainHeat.FromJson((heat with { Cells = new byte[9] }).ToJson()));
    }

    [Fact]
    public void A_domain_that_was_never_attached_has_none() =>
        Assert.Null(_pictures.Shown.Heat(_web1 with { Pid = null }, TimeSpan.FromMinutes(1)));

    [Theory]
    [InlineData("90s", 90)]
    [InlineData("10min", 600)]
    [InlineData("26.5h", 95400)]
    [InlineData("27h", null)]
    [InlineData("0s", null)]
    [InlineData("10", null)]
    [InlineData("-1s", null)]
    [InlineData("NaNs", null)]
    [InlineData("s", null)]
    public void Times_have_a_unit_and_bounds(string text, int? seconds)
    {
        ParseResult result = HeatmapCommand.Create().Parse(["web1", "--last", text]);
        Assert.Equal(seconds is null, result.Errors.Count > 0);
        if (seconds is int expected)
            Assert.Equal(expected, result.GetValue<TimeSpan>("--last").TotalSeconds);
        else
            Assert.Contains($"--last '{text}'", result.Errors[0].Message, StringComparison.Ordinal);
    }

    private DomainHeat Heat(int last) => _pictures.Shown.Heat(_web1, TimeSpan.FromSeconds(last))!;

    private string Text(int last, int width, bool colour) => string.Join('\n', HeatMapText.Render(Heat(last), width, colour));
}
