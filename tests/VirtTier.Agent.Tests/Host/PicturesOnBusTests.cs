// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Agent.Tests.Metrics;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Tests.Host;

/// <summary>The commands that show, as processes that ask an agent over a bus.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class PicturesOnBusTests : AgentOnBus
{
    private static readonly string s_program = Path.Combine(AppContext.BaseDirectory, "virttier");

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        Status = SampleStatus.Of("web1", "db1");
        Status = Status with { Domains = [Status.Domains[0] with { Pid = SamplePictures.Process.Pid }, Status.Domains[1]] };
        Curve = new DramCurve([(1024, 9.0), (3072, 0.01)], error: 0.01);
        Pictures.Harvest(320, second => second / 40);
        Pictures.Rounds(Curve, TimeSpan.FromHours(1));
        Pictures.Events.StateChanged(new("libvirt", "web1"), TieringState.Tiering);
    }

    [Fact]
    public async Task Each_prints_what_the_agent_knows()
    {
        string estimate = await PrintedAsync("estimate");
        Assert.Matches("(?m)^web1 .* 1 h$", estimate);
        Assert.Matches("(?m)^db1 .*too early", estimate);
        Assert.DoesNotContain("db1", await PrintedAsync("estimate", "web1"), StringComparison.Ordinal);
        Assert.Equal(2, HostEstimate.FromJson(await PrintedAsync("estimate", "--json")).Domains.Count);

        string map = await PrintedAsync("heatmap", "web1", "--last", "325s");
        Assert.Matches(@"(?m)^ +0x100600000 0+9{8}\.$", map); // a digit a cell, as in every pipe
        Assert.Equal(65, DomainHeat.FromJson(await PrintedAsync("heatmap", "web1", "--last", "325s", "--json")).Columns);

        string shown = await PrintedAsync("show", "web1");
        Assert.Contains("nodes    node 0: 4 MiB, node 2: 12 MiB", shown, StringComparison.Ordinal);
        Assert.Contains("12:05:20 Tiering", shown, StringComparison.Ordinal);
        Assert.Equal("web1", DomainDetail.FromJson(await PrintedAsync("show", "web1", "--json")).Status.Name);

        string top = await PrintedAsync("top", "-b", "-n", "2", "-d", "0.1");
        Assert.Equal(2, top.Split("DRAM now").Length - 1);
    }

    [Fact]
    public async Task A_page_is_written_whole_and_a_file_that_cannot_be_is_named()
    {
        string file = Path.Combine(Folder, "estimate.html");
        Assert.Equal("", await PrintedAsync("estimate", "--html", file));
        Assert.EndsWith("</html>\n", await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken),
            StringComparison.Ordinal);
        (int exitCode, _, string errors) = await RunAsync([s_program, "estimate", "--html", "/nonexistent/x.html"]);
        Assert.Equal(2, exitCode);
        Assert.StartsWith("virttier: --html: /nonexistent/x.html cannot be written: ", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_report_is_written_into_its_page_and_a_page_that_is_not_there_is_named()
    {
        string page = Path.Combine(Folder, "page.html"), file = Path.Combine(Folder, "report.html");
        await File.WriteAllTextAsync(page, "<p>/* report */</p>", TestContext.Current.CancellationToken);
        Assert.Equal("", await PrintedAsync("report", "--html", file, "--page", page));
        Assert.Matches("^<p>H4sI[0-9A-Za-z+/]+=*</p>$",
            await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));

        (int exitCode, _, string errors) = await RunAsync([s_program, "report", "--html", file, "--page", "/nonexistent/x"]);
        Assert.Equal(2, exitCode);
        Assert.Matches(
            "^virttier: the page to be filled cannot be read: .*/nonexistent/x.*; the package virttier has it", errors);
        (exitCode, _, errors) = await RunAsync([s_program, "report", "--html", file, "--page", file]);
        Assert.Equal(2, exitCode);
        Assert.Matches("^virttier: .* is not the page of this VirtTier", errors);
    }

    [Theory]
    [InlineData("estimate")]
    [InlineData("heatmap")]
    [InlineData("show")]
    public async Task A_VM_that_does_not_run_is_named_and_an_agent_that_is_gone_told_as_such(string command)
    {
        (int exitCode, string output, string errors) = await RunAsync([s_program, command, "no-such-vm"]);
        Assert.Equal((2, ""), (exitCode, output));
        Assert.Equal("virttier: no running domain has the name or UUID 'no-such-vm'\n", errors);

        await StopAgentAsync();
        (exitCode, _, errors) = await RunAsync([s_program, command, "web1"]);
        Assert.Equal(3, exitCode);
        Assert.StartsWith("virttier: the agent is not running", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_was_never_sampled_has_no_heat_by_name()
    {
        (int exitCode, _, string errors) = await RunAsync([s_program, "heatmap", "db1"]);
        Assert.Equal(2, exitCode);
        Assert.StartsWith("virttier: nothing was seen of db1 yet: ", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task In_a_terminal_the_map_is_in_colour_unless_that_is_not_wanted_and_top_obeys_its_keys()
    {
        HostRing.RequirePrograms("script");
        (_, string coloured, _) = await InTerminalAsync($"env --unset=NO_COLOR {s_program} heatmap web1");
        Assert.Contains("\e[38;5;228m", coloured, StringComparison.Ordinal);
        (_, string plain, _) = await InTerminalAsync($"NO_COLOR=1 {s_program} heatmap web1");
        Assert.DoesNotContain("\e[38;5", plain, StringComparison.Ordinal);
        Assert.Contains("0x100600000 ", plain, StringComparison.Ordinal);

        (int exitCode, string top, string errors) = await InTerminalAsync($"{s_program} top", keys: "ssq");
        Assert.True(exitCode == 0, top + errors);
        Assert.Contains("by memory;", top, StringComparison.Ordinal);
    }

    private Task<(int ExitCode, string Output, string Errors)> InTerminalAsync(string command, string keys = "") => RunAsync(
        ["sh", "-c", $"printf '{keys}' | TERM=xterm-256color script --quiet --return --command '{command}' /dev/null"]);

    private async Task<string> PrintedAsync(params string[] arguments)
    {
        (int exitCode, string output, string errors) = await RunAsync([s_program, .. arguments]);
        Assert.True(exitCode == 0, $"{exitCode}: {errors}");
        return output;
    }
}
