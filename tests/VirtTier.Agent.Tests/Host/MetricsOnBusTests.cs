// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using VirtTier.Agent.Bus;
using VirtTier.Agent.Metrics;
using VirtTier.Libvirt.DBus;

namespace VirtTier.Agent.Tests.Host;

/// <summary><c>virttier metrics</c> in each of its forms, as a process that asks an agent over a bus.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class MetricsOnBusTests : ExporterOnBus
{
    [Fact]
    public async Task A_scrape_gets_the_page_that_is_printed_and_one_of_an_agent_that_is_gone_says_so()
    {
        string page = await PrintedAsync();
        Assert.Contains("virttier_domain_budget_bytes{domain=\"web1\"", page, StringComparison.Ordinal);
        await StartExporterAsync();

        for (int scrape = 0; scrape < 2; scrape++)
        {
            using HttpResponseMessage answer = await Scraper.GetAsync(new Uri("metrics", UriKind.Relative), Cancel);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.Equal(MetricsPage.ContentType, answer.Content.Headers.ContentType?.ToString());
            Assert.Equal(page, await answer.Content.ReadAsStringAsync(Cancel));
        }
        using HttpResponseMessage elsewhere = await Scraper.GetAsync(new Uri("favicon.ico", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.NotFound, elsewhere.StatusCode);

        await StopAgentAsync();
        await ScrapeFindsNoAgentAsync();
    }

    [Fact]
    public async Task An_agent_that_hangs_is_one_that_does_not_answer()
    {
        await StopAgentAsync();
        await using SystemBus hung = new(NullLogger.Instance, Address);
        using IDisposable export = hung.Export(
            AgentInterface.Path, AgentInterface.Introspection, _ => new TaskCompletionSource<BusBody>().Task);
        hung.OwnName(AgentInterface.Name);
        await Eventually.IsTrue(
            async () => (await RunAsync(["busctl", "--address=" + Address, "list"])).Output.Contains(
                AgentInterface.Name, StringComparison.Ordinal),
            () => "nobody has the agent's name");
        await StartExporterAsync();

        await ScrapeFindsNoAgentAsync();
        Assert.Contains(
            "the agent did not answer within 3 s", await File.ReadAllTextAsync(Log, Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bus_that_hangs_or_is_not_there_is_an_agent_that_does_not_answer()
    {
        string socket = Path.Combine(Folder, "hung");
        using (Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            listener.Bind(new UnixDomainSocketEndPoint(socket));
            listener.Listen();
            await StartExporterAsync("unix:path=" + socket);
            await ScrapeFindsNoAgentAsync();
        }
        File.Delete(socket);
        await ScrapeFindsNoAgentAsync();
    }

    [Fact]
    public async Task An_agent_of_another_version_is_one_that_does_not_answer()
    {
        Status = Status with { Tiers = null! };
        await StartExporterAsync();

        await ScrapeFindsNoAgentAsync();
        Assert.Contains("is it of another version", await File.ReadAllTextAsync(Log, Cancel), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_exporter_ends_when_it_is_told_to_and_says_how_it_is_to_be_started()
    {
        Daemon exporter = await StartExporterAsync();
        await ScrapeAsync();
        await exporter.EndAsync();

        (int exitCode, _, string errors) = await RunAsync([Program, "metrics", "--serve"]);
        Assert.Equal(2, exitCode);
        Assert.Contains("systemctl start virttier-exporter.socket", errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_text_file_is_replaced_by_the_page_that_is_printed_also_when_the_agent_is_gone()
    {
        string file = Path.Combine(Directory.CreateDirectory(Path.Combine(Folder, "collector")).FullName, "virttier.prom");
        await File.WriteAllTextAsync(file, "of the last time\n", Cancel);

        Assert.Equal((0, "", ""), await RunAsync([Program, "metrics", "--textfile", file]));
        Assert.Equal(await PrintedAsync(), await File.ReadAllTextAsync(file, Cancel));
        Assert.Equal([file], Directory.GetFiles(Path.GetDirectoryName(file)!));

        await StopAgentAsync();
        (int exitCode, string output, string errors) = await RunAsync([Program, "metrics", "--textfile", file]);
        Assert.Equal((3, ""), (exitCode, output));
        Assert.Contains("systemctl start virttier", errors, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_up 0\n", await File.ReadAllTextAsync(file, Cancel), StringComparison.Ordinal);
        Assert.Equal([file], Directory.GetFiles(Path.GetDirectoryName(file)!));
    }

    [Fact]
    public async Task A_text_file_that_cannot_be_written_is_named()
    {
        string file = Path.Combine(Folder, "no-such-folder", "virttier.prom");

        (int exitCode, _, string errors) = await RunAsync([Program, "metrics", "--textfile", file]);

        Assert.Equal(2, exitCode);
        Assert.StartsWith($"virttier: --textfile: {file} cannot be written: ", errors, StringComparison.Ordinal);
    }

    private async Task ScrapeFindsNoAgentAsync()
    {
        string page = await ScrapeAsync();
        Assert.Contains("\nvirttier_up 0\n", page, StringComparison.Ordinal);
        Assert.DoesNotContain("web1", page, StringComparison.Ordinal);
    }

    private async Task<string> PrintedAsync()
    {
        (int exitCode, string output, string errors) = await RunAsync([Program, "metrics"]);
        Assert.True(exitCode == 0, errors);
        return output;
    }
}
