// SPDX-License-Identifier: Apache-2.0
using System.Diagnostics;
using System.Text.Json;
using VirtTier.Agent.Metrics;
using VirtTier.Agent.Status;
using VirtTier.Agent.Tests.Metrics;

namespace VirtTier.Agent.Tests.Host;

/// <summary>The exporter judged by Prometheus itself, and by a second parser: Debian's packages,
/// unpacked beside the machine's own.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class PrometheusTests : ExporterOnBus
{
    private string _root = "";

    public override async ValueTask InitializeAsync()
    {
        await base.InitializeAsync();
        (int exitCode, string output, string errors) =
            await RunAsync(Path.Combine(Repository.Root, "tests", "prometheus", "fetch"), []);
        Assert.True(exitCode == 0, errors);
        _root = output.Trim();
    }

    [Fact]
    public async Task Promtool_has_nothing_to_say_of_the_page()
    {
        Status = SampleStatus.Of("web1", "a\"b\nc");
        await StartExporterAsync();
        (int exitCode, string output, string errors) = await RunAsync(Promtool, ["check", "metrics"], await ScrapeAsync());
        Assert.Equal((0, "", ""), (exitCode, output, errors));
    }

    [Fact]
    public async Task Another_parser_reads_the_same_figures()
    {
        const string program = """
            import sys, json
            from prometheus_client.parser import text_string_to_metric_families
            print(json.dumps([[s.name, s.labels, s.value] for f in text_string_to_metric_families(sys.stdin.read()) for s in f.samples]))
            """;
        Status = SampleStatus.Of("web1", "a\"b\\\nc");
        await StartExporterAsync();
        (int exitCode, string output, string errors) = await RunAsync(
            "/usr/bin/env", [$"PYTHONPATH={_root}/usr/lib/python3/dist-packages", "python3", "-c", program],
            await ScrapeAsync());
        Assert.True(exitCode == 0, errors);

        AgentStatus told = Status with { Libvirt = Status.Libvirt with { HookCalls = Hook.Calls } };
        using JsonDocument samples = JsonDocument.Parse(output);
        Dictionary<string, double> read = samples.RootElement.EnumerateArray().ToDictionary(
            s => Series(s[0].GetString()!, s[1].EnumerateObject().Select(l => (l.Name, l.Value.GetString()!))),
            s => s[2].GetDouble());
        Dictionary<string, double> expected = MetricFamily.All.SelectMany(
            family => family.Read(told).Select(
                series => KeyValuePair.Create(Series(family.Name, family.Labels.Zip(series.Labels)), series.Value)))
            .Append(KeyValuePair.Create(Series(MetricsPage.Up, []), 1.0)).ToDictionary();
        Assert.Equal(expected.OrderBy(s => s.Key, StringComparer.Ordinal), read.OrderBy(s => s.Key, StringComparer.Ordinal));
    }

    private static string Series(string name, IEnumerable<(string Name, string Value)> labels) =>
        string.Join('\0', labels.OrderBy(l => l.Name, StringComparer.Ordinal).Select(l => $"{l.Name}={l.Value}").Prepend(name));

    [Theory]
    [InlineData("check")]
    [InlineData("test")]
    public async Task Alert_rules_are_sound_and_fire_when_they_should(string verb)
    {
        string rules = Path.Combine(Repository.Root, "packaging", "prometheus",
            verb == "check" ? "virttier.rules.yml" : "virttier.rules.test.yml");
        (int exitCode, string output, string errors) = await RunAsync(Promtool, [verb, "rules", rules]);
        Assert.True(exitCode == 0, output + errors);
        Assert.Contains("SUCCESS", output + errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_panel_of_the_board_has_data_and_a_stopped_domain_is_gone_at_the_next_scrape()
    {
        Status = SampleStatus.Of("web1", "web2");
        await StartExporterAsync();
        using Daemon prometheus = await StartPrometheusAsync();
        using HttpClient client = new() { BaseAddress = new Uri($"http://127.0.0.1:{_port}/") };

        // A rate needs two scrapes.
        await Eventually.IsTrue(
            async () => await ValueAsync(client, "count_over_time(virttier_up[5m])") >= 3,
            () => File.ReadAllText(Path.Combine(Folder, "prometheus.log")));
        using JsonDocument board = JsonDocument.Parse(
            await File.ReadAllTextAsync(Path.Combine(Repository.Root, "packaging", "grafana", "virttier.json"), Cancel));
        string[] queries = [.. board.RootElement.GetProperty("panels").EnumerateArray()
            .SelectMany(p => p.GetProperty("targets").EnumerateArray()).Select(t => t.GetProperty("expr").GetString()!)];
        Assert.True(queries.Length >= 21);
        List<string> empty = [];
        foreach (string query in queries)
        {
            if (await ValueAsync(client, query.Replace("$instance", ".*", StringComparison.Ordinal).Replace("$domain", ".*",
                StringComparison.Ordinal)) is null)
                empty.Add(query);
        }
        Assert.Empty(empty);

        Assert.Equal(2, await ValueAsync(client, "count(virttier_domain_info)"));
        Status = SampleStatus.Of("web1");
        await Eventually.IsTrue(async () => await ValueAsync(client, "count(virttier_domain_info)") == 1,
            () => "web2 has a series still");
        Assert.Null(await ValueAsync(client, "virttier_domain_budget_bytes{domain=\"web2\"}"));

        await prometheus.EndAsync();
    }

    private string Promtool => Path.Combine(_root, "usr/bin/promtool");

    private int _port;

    private async Task<Daemon> StartPrometheusAsync()
    {
        _port = FreePort();
        string config = Path.Combine(Folder, "prometheus.yml");
        await File.WriteAllTextAsync(config, $$"""
            global: {scrape_interval: 1s, scrape_timeout: 1s}
            scrape_configs:
              - job_name: virttier
                static_configs: [{targets: ["127.0.0.1:{{Port}}"]}]
            """, Cancel);
        return Daemon.Start(Path.Combine(Folder, "prometheus.log"), new Dictionary<string, string>(),
            Path.Combine(_root, "usr/bin/prometheus"),
            "--config.file=" + config, "--storage.tsdb.path=" + Path.Combine(Folder, "data"),
            $"--web.listen-address=127.0.0.1:{_port}");
    }

    // The first series' value; null when there is none, or no answer yet.
    private static async Task<double?> ValueAsync(HttpClient client, string query)
    {
        try
        {
            using JsonDocument answer = JsonDocument.Parse(await client.GetStringAsync(
                new Uri("api/v1/query?query=" + Uri.EscapeDataString(query), UriKind.Relative), Cancel));
            JsonElement result = answer.RootElement.GetProperty("data").GetProperty("result");
            return result.GetArrayLength() == 0
                ? null
                : double.Parse(result[0].GetProperty("value")[1].GetString()!, System.Globalization.CultureInfo.InvariantCulture);
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    private static async Task<(int ExitCode, string Output, string Errors)> RunAsync(
        string program, string[] arguments, string input = "")
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(Cancel),
            errors = process.StandardError.ReadToEndAsync(Cancel);
        await process.StandardInput.WriteAsync(input.AsMemory(), Cancel);
        process.StandardInput.Close();
        await process.WaitForExitAsync(Cancel);
        return (process.ExitCode, await output, await errors);
    }
}
