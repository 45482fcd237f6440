// SPDX-License-Identifier: Apache-2.0
using System.Text;
using System.Text.RegularExpressions;
using VirtTier.Agent.Metrics;
using VirtTier.Agent.Status;

namespace VirtTier.Agent.Tests.Metrics;

/// <summary>The page that Prometheus reads, and what its documents say of it.</summary>
public sealed partial class MetricsPageTests
{
    private static readonly string[] s_modes = ["enforce", "observe"];
    private static readonly string?[] s_reasons = [null, Reasons.Attaching, "the module is not loaded"];
    private static readonly long[] s_fastBytes = [0, 2L << 30];
    private static readonly bool[] s_followed = [false, true];

    [Fact]
    public async Task Figures_of_a_domain_are_in_base_units()
    {
        string page = await PageAsync(SampleStatus.Of("web1"));
        Assert.Contains("\nvirttier_domain_budget_bytes{domain=\"web1\"} 1073741824\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_resident_bytes{domain=\"web1\",tier=\"fast\"} 943718400\n", page,
            StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_promoted_bytes_total{domain=\"web1\"} 12288\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_hot_away_bytes{domain=\"web1\"} 5242880\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_home_ratio{domain=\"web1\",node=\"0\"} 1\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_rehomed_bytes_total{domain=\"web1\"} 28672\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_sunk_bytes_total{domain=\"web1\"} 36864\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_raised_bytes_total{domain=\"web1\"} 12288\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_unmoved_bytes_total{domain=\"web1\",reason=\"pinned\"} 8192\n", page,
            StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_state{domain=\"web1\",state=\"tiering\"} 1\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_domain_state{domain=\"web1\",state=\"paused\"} 0\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_tier_free_bytes{tier=\"slow\",rank=\"1\"} 17179869184\n", page, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_up 1\n", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_domain_that_stopped_leaves_no_series()
    {
        await PageAsync(SampleStatus.Of("web1", "web2"));
        Assert.DoesNotContain("web2", await PageAsync(SampleStatus.Of("web1")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Domains_of_one_name_have_a_series_each()
    {
        AgentStatus status = SampleStatus.Of("web1", "web1", "web1", "web1");
        status = status with
        {
            Domains =
            [
                status.Domains[0] with { BudgetBytes = 1 },
                status.Domains[1] with { BudgetBytes = 2, Source = "kubevirt", Id = "p/web1", Pid = 7 },
                status.Domains[2] with { BudgetBytes = 3, Source = "kubevirt", Id = "q/web1", Pid = 8 },
                status.Domains[3] with { BudgetBytes = 4, Source = "proxmox", Id = "104", Pid = 9 },
            ],
        };
        string page = await PageAsync(status);
        Assert.Equal(
            ["""{domain="web1"} 1""", """{domain="web1 (p/web1, process 7)"} 2""", """{domain="web1 (q/web1, process 8)"} 3""",
                """{domain="web1 (proxmox)"} 4"""],
            page.Split('\n').Where(line => line.StartsWith("virttier_domain_budget_bytes{", StringComparison.Ordinal))
                .Select(line => line["virttier_domain_budget_bytes".Length..]));
    }

    [Fact]
    public async Task An_odd_name_breaks_no_line()
    {
        string page = await PageAsync(SampleStatus.Of("a\"b\\c\nd 1"));
        Assert.Contains("\nvirttier_domain_budget_bytes{domain=\"a\\\"b\\\\c\\nd 1\"} 1073741824\n", page,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_an_agent_the_page_says_so_and_nothing_else()
    {
        string page = await PageAsync(null);
        Assert.Equal(["virttier_up 0"], page.Split('\n').Where(l => l.Length > 0 && l[0] != '#'));
    }

    [Fact]
    public async Task Each_metric_has_a_series_in_the_sample()
    {
        string page = await PageAsync(SampleStatus.Of("web1"));
        Assert.All(MetricFamily.All, f => Assert.Matches($"(?m)^{f.Name}(\\{{.*\\}})? [0-9]", page));
    }

    [Fact]
    public void Each_state_that_a_domain_can_be_in_is_known()
    {
        DomainStatus domain = SampleStatus.Of("web1").Domains[0];
        IEnumerable<DomainStatus> each =
            from state in Enum.GetValues<TieringState>()
            from mode in s_modes
            from reason in s_reasons
            from fast in s_fastBytes
            from followed in s_followed
            select domain with { State = state, Mode = mode, Reason = reason, FastBytes = fast, IsOnlyFollowed = followed };
        Assert.Equal(DomainStatus.StateNames.Order(), each.Select(d => d.StateName).Distinct().Order());
    }

    [Fact]
    public async Task Docs_have_each_metric_with_its_labels_and_meaning()
    {
        string docs = await File.ReadAllTextAsync(
            Path.Combine(Repository.Root, "docs", "metrics.md"), TestContext.Current.CancellationToken);
        string[] rows = [.. MetricFamily.All.Select(f =>
            $"| `{f.Name}` | {(f.Labels.Length == 0 ? "" : $"`{string.Join("`, `", f.Labels)}`")} | {f.Help} |")];
        string[] written = [
            .. docs.Split('\n')
                .Where(
                    l => l.StartsWith("| `virttier_", StringComparison.Ordinal)
                        && !l.Contains("`virttier_up`", StringComparison.Ordinal))];
        Assert.Equal(rows, written);
    }

    [Theory]
    [InlineData("packaging/prometheus/virttier.rules.yml")]
    [InlineData("packaging/grafana/virttier.json")]
    [InlineData("docs/metrics.md")]
    public async Task Nothing_refers_to_a_metric_that_is_not_exported(string file)
    {
        string text = await File.ReadAllTextAsync(Path.Combine(Repository.Root, file), TestContext.Current.CancellationToken);
        string[] named = [.. Names().Matches(text).Select(m => m.Value).Distinct()];
        Assert.NotEmpty(named);
        Assert.Empty(named.Except([MetricsPage.Up, .. MetricFamily.All.Select(f => f.Name)]));
    }

    [GeneratedRegex("virttier_[a-z_]+[a-z]")]
    private static partial Regex Names();

    private static async Task<string> PageAsync(AgentStatus? status) =>
        Encoding.UTF8.GetString(await MetricsPage.RenderAsync(status, TestContext.Current.CancellationToken));
}
