// SPDX-License-Identifier: Apache-2.0
using System.Xml.Linq;
using VirtTier.Agent.Commands;
using VirtTier.Agent.Configuration;
using VirtTier.Agent.Pictures;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Fakes;
using VirtTier.Agent.Tests.Metrics;
using VirtTier.Tiering.History;
using VirtTier.Tiering.Value;

namespace VirtTier.Agent.Tests.Pictures;

/// <summary><c>virttier estimate</c>: what it works out, and how it reads.</summary>
public sealed class EstimateTests
{
    private const long GiB = 1L << 30;
    private const long GiBPages = GiB / 4096;

    private static readonly DateTimeOffset s_noon = new(2026, 3, 1, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void What_is_needed_and_freed_follows_from_the_curve()
    {
        DomainEstimate web1 = Web1;
        // 1 GiB gets 97 % of the accesses, 7 GiB the rest, evenly: 5 % slow need less than 1 GiB, 1 % need 2/3 of the rest.
        Assert.InRange(web1.FivePercent!.DramBytes, 0.97 * GiB, 1.0 * GiB);
        Assert.InRange(web1.OnePercent!.DramBytes, (1 + (7 * 2 / 3.0) - 0.1) * GiB, (1 + (7 * 2 / 3.0) + 0.1) * GiB);
        Assert.Equal(8 * GiB, web1.OnePercent.DramBytes + web1.OnePercent.FreedBytes);
        Assert.InRange(web1.FivePercent.LeastBytes, 0.95 * GiB, web1.FivePercent.DramBytes - 1);
        Assert.InRange(web1.FivePercent.MostBytes, web1.FivePercent.DramBytes + 1, GiB); // 4 %, with 1 % of error against it
        Assert.Equal((0.01, 7200), (web1.Error, web1.ObservedSeconds));
        Assert.Equal((33, 1, 0), (web1.Curve.Count, web1.Curve[0].SlowShare, web1.Curve[^1].SlowShare));
    }

    [Fact]
    public void Before_enough_was_seen_there_is_no_figure_but_what_is_enough()
    {
        LongCurve curve = new();
        curve.Add(Curve(0.01), 899);
        DomainEstimate early = DomainEstimate.Of(Status("web1"), curve);
        Assert.Null(early.OnePercent);
        Assert.Null(early.FivePercent);
        Assert.Equal((899, 900), (early.ObservedSeconds, early.EnoughSeconds));

        curve.Add(Curve(0.01), 1);
        Assert.NotNull(DomainEstimate.Of(Status("web1"), curve).OnePercent);

        LongCurve unchecked_ = new(); // no prediction ever came due
        unchecked_.Add(Curve(1), 7200);
        Assert.Null(DomainEstimate.Of(Status("web1"), unchecked_).OnePercent);
    }

    [Fact]
    public void No_more_is_freed_than_the_VM_has()
    {
        LongCurve curve = new();
        curve.Add(Curve(0.01), 7200);
        DomainEstimate shrunk = DomainEstimate.Of(Status("web1") with { FastBytes = GiB / 2, SlowBytes = 0 }, curve);
        Assert.Equal((GiB / 2, 0), (shrunk.OnePercent!.DramBytes, shrunk.OnePercent.FreedBytes));
    }

    [Fact]
    public void It_reads_as_the_documentation_shows()
    {
        HostEstimate estimate = Host(Web1, Early) with { DramCost = new DramCost(4.2, "EUR") };
        string text = string.Join('\n', EstimateText.Render(estimate, 80));
        Usage.Shows("virttier estimate", text);
        Assert.All(text.Split('\n').Take(4), line => Assert.InRange(line.Length, 1, 80));
        Assert.DoesNotContain("slow-down", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Long_names_are_cut_to_fit_80_columns_and_whole_in_200()
    {
        string name = new('n', 60);
        HostEstimate estimate = Host(Web1 with { Name = name }, Web1);
        Assert.StartsWith("nnnnnnn…  ", EstimateText.Render(estimate, 80).ElementAt(2), StringComparison.Ordinal);
        Assert.StartsWith(name + "  ", EstimateText.Render(estimate, 200).ElementAt(2), StringComparison.Ordinal);
    }

    [Fact]
    public void All_VMs_have_a_total_and_no_VM_a_sentence()
    {
        string[] lines = [.. EstimateText.Render(Host(Web1, Web1, Early), 80)];
        Assert.StartsWith("2 of 3 ", lines[5], StringComparison.Ordinal);
        Assert.Contains("  16 GiB", lines[5], StringComparison.Ordinal);
        Assert.Equal(["no VM runs, so nothing can be estimated"], EstimateText.Render(Host(), 80));
    }

    [Fact]
    public void Money_is_shown_only_where_the_configuration_says_what_DRAM_costs()
    {
        Assert.DoesNotContain("dram_per_gib", string.Join('\n', EstimateText.Render(Host(Web1), 80)), StringComparison.Ordinal);
        Assert.Contains(
            "At 1000.00 a GiB (costs.dram_per_gib) this frees ",
            string.Join('\n', EstimateText.Render(Host(Web1) with { DramCost = new DramCost(1000, "") }, 80)),
            StringComparison.Ordinal);
    }

    [Fact]
    public void On_a_host_with_one_tier_it_says_that_nothing_is_moved()
    {
        Assert.Equal("This host has one memory tier: nothing is moved, VMs are only watched.",
            EstimateText.Render(Host(Web1) with { HasSlowTier = false }, 80).Last());
        Assert.Equal("This host has one memory tier: hot pages follow their VMs between sockets, nothing else is moved.",
            EstimateText.Render(Host(Web1) with { HasSlowTier = false, Rehomes = true }, 80).Last());
        SamplePictures pictures = new();
        AgentStatus status = SampleStatus.Of("web1");
        Assert.True(pictures.Shown.Estimate(status).HasSlowTier);
        Assert.False(pictures.Shown.Estimate(status).Rehomes);
        Assert.True(pictures.Shown.Estimate(status with { Rehomes = true }).Rehomes);
        Assert.False(pictures.Shown.Estimate(status with { Tiers = [status.Tiers[0]] }).HasSlowTier);
    }

    [Fact]
    public void The_page_needs_nothing_else_and_shows_what_the_text_does()
    {
        string page = EstimatePage.Render(Host(Web1 with { Name = "<b>&" }, Early), "host<1>");
        XElement html = XElement.Parse(page["<!DOCTYPE html>".Length..]
            .Replace("<meta charset=\"utf-8\">", "", StringComparison.Ordinal)
            .Replace("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">", "", StringComparison.Ordinal));
        string[] cells = [.. html.Descendants("tbody").Elements("tr").First().Elements("td").Select(td => td.Value)];
        Assert.Equal("<b>&", cells[0]);
        Assert.Equal("8 GiB", cells[1]);
        Assert.Equal(Sizes.Show(Web1.FivePercent!.DramBytes), cells[5]);
        Assert.DoesNotContain("http", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", page, StringComparison.Ordinal);
        Assert.DoesNotContain("src=", page, StringComparison.Ordinal);
        Assert.Contains("1 of 2 VMs", html.Descendants("tfoot").Single().Value, StringComparison.Ordinal);
        Assert.Single(html.Descendants("polyline"));
    }

    [Fact]
    public void It_travels_as_JSON()
    {
        HostEstimate estimate = Host(Web1, Early) with { DramCost = new DramCost(4.2, "EUR") };
        HostEstimate read = HostEstimate.FromJson(estimate.ToJson());
        Assert.Equal(estimate.ToJson(), read.ToJson());
        Assert.Equal(Web1.OnePercent, read.Domains[0].OnePercent);
        Assert.Null(read.Domains[1].OnePercent);
        Assert.Contains("\"fivePercent\":{\"dramBytes\":", estimate.ToJson(), StringComparison.Ordinal);
    }

    [Fact]
    public void One_VM_is_found_by_name_or_by_UUID()
    {
        HostEstimate estimate = Host(Web1, Early with { Uuid = Guid.NewGuid() });
        Assert.Same(estimate, EstimateCommand.Only(estimate, null));
        Assert.Equal(["early"], EstimateCommand.Only(estimate, "early").Domains.Select(d => d.Name));
        Assert.Equal(["web1"], EstimateCommand.Only(estimate, Web1.Uuid.ToString()).Domains.Select(d => d.Name));
        Assert.Throws<NotKnownException>(() => EstimateCommand.Only(estimate, "nobody"));

        estimate = Host(Web1, Web1 with { Source = "kubevirt", Id = "pod/web1" });
        Assert.Throws<NotKnownException>(() => EstimateCommand.Only(estimate, "web1"));
        Assert.Equal(["pod/web1"], EstimateCommand.Only(estimate, "kubevirt:web1").Domains.Select(d => d.Id));
        Assert.Equal(["web1 (libvirt)", "web1 (kubevirt)"],
            EstimateText.Notes(estimate with { Domains = [.. estimate.Domains.Select(d => d with { OnePercent = null })] })
                .Select(line => line.Split(':')[0]));
    }

    [Theory]
    [InlineData("4.20 EUR", 4.2, "EUR")]
    [InlineData("4", 4.0, "")]
    [InlineData("0", null, null)]
    [InlineData("-1 EUR", null, null)]
    [InlineData("EUR 4", null, null)]
    [InlineData("4 E U R", null, null)]
    [InlineData("NaN", null, null)]
    [InlineData("1e3", null, null)]
    public void A_price_is_a_number_with_a_currency_or_without(string text, double? price, string? currency)
    {
        Assert.Equal(price is not null, DramCost.TryParse(text, out DramCost? cost));
        Assert.Equal((price, currency), (cost?.PerGib, cost?.Currency));
    }

    [Fact]
    public void The_configuration_has_the_price_and_refuses_what_is_none_by_its_place()
    {
        Assert.Equal(new DramCost(4.2, "EUR"), ConfigReader.Read("v.yaml", "costs: {dram_per_gib: 4.20 EUR}").DramCost);
        Assert.Null(ConfigReader.Read("v.yaml", "").DramCost);
        ConfigException e = Assert.Throws<ConfigException>(() => ConfigReader.Read("v.yaml", "costs:\n  dram_per_gib: much"));
        Assert.StartsWith("v.yaml:2:17: 'much' must be the price of a GiB", e.Message, StringComparison.Ordinal);
    }

    private static DomainEstimate Web1 { get; } = MakeWeb1();

    private static DomainEstimate Early { get; } =
        DomainEstimate.Of(Status("early") with { MemoryBytes = 4 * GiB, HotBytes = 0 }, new LongCurve());

    private static DomainEstimate MakeWeb1()
    {
        LongCurve curve = new();
        curve.Add(Curve(0.01), 7200);
        return DomainEstimate.Of(Status("web1"), curve);
    }

    private static DramCurve Curve(double error) =>
        new([(GiBPages, 97.0 / GiBPages), (7 * GiBPages, 3.0 / (7 * GiBPages))], error);

    private static DomainStatus Status(string name) => SampleStatus.Of(name).Domains[0] with
    {
        MemoryBytes = 8 * GiB,
        FastBytes = 2 * GiB,
        SlowBytes = 6 * GiB,
        HotBytes = 900L << 20,
    };

    private static HostEstimate Host(params DomainEstimate[] domains) => new(s_noon, HasSlowTier: true, DramCost: null, domains);
}
