// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;
using VirtTier.Agent.Metrics;

namespace VirtTier.Agent.Tests.Host;

/// <summary><c>virttier metrics</c> in each of its forms, as a process that asks an agent over a bus.</summary>
[Trait("Ring", "host")]
[Collection(HostRing.Name)]
public sealed class MetricsOnBusTests : AgentOnBus
{
    private static readonly string s_program = Path.Combine(AppContext.BaseDirectory, "virttier");

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_scrape_over_a_listening_socket_gets_the_page_that_is_printed()
    {
        HostRing.RequirePrograms("systemd-socket-activate");
        string page = await PrintedAsync();
        Assert.Contains("virttier_domain_budget_bytes{domain=\"web1\"", page, StringComparison.Ordinal);
        int port;
        using (TcpListener free = new(IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((IPEndPoint)free.LocalEndpoint).Port;
        }

        // As virttier-exporter.socket and virttier-exporter@.service have it: a process for each connection.
        string log = Path.Combine(Folder, "scrapes.log");
        using Daemon listener = Daemon.Start(
            log, new Dictionary<string, string> { ["DBUS_SYSTEM_BUS_ADDRESS"] = Address },
            "systemd-socket-activate", "--accept", "--inetd", "--listen", $"127.0.0.1:{port}",
            "--setenv=DBUS_SYSTEM_BUS_ADDRESS", "--setenv=DOTNET_ROOT", s_program, "metrics", "--http");
        await Eventually.IsTrue(
            () => File.Exists(log) && File.ReadAllText(log).Contains("Listening on", StringComparison.Ordinal),
            () => "systemd-socket-activate does not listen");
        using HttpClient client = new() { BaseAddress = new Uri($"http://127.0.0.1:{port}/") };

        for (int scrape = 0; scrape < 2; scrape++)
        {
            using HttpResponseMessage answer = await client.GetAsync(new Uri("metrics", UriKind.Relative), Cancel);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.Equal(MetricsPage.ContentType, answer.Content.Headers.ContentType?.ToString());
            Assert.Equal(page, await answer.Content.ReadAsStringAsync(Cancel));
        }
        using HttpResponseMessage elsewhere = await client.GetAsync(new Uri("favicon.ico", UriKind.Relative), Cancel);
        Assert.Equal(HttpStatusCode.NotFound, elsewhere.StatusCode);

        await StopAgentAsync();
        string down = await client.GetStringAsync(new Uri("metrics", UriKind.Relative), Cancel);
        Assert.Contains("\nvirttier_up 0\n", down, StringComparison.Ordinal);
        Assert.DoesNotContain("web1", down, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_text_file_is_replaced_by_the_page_that_is_printed_also_when_the_agent_is_gone()
    {
        string file = Path.Combine(Directory.CreateDirectory(Path.Combine(Folder, "collector")).FullName, "virttier.prom");
        await File.WriteAllTextAsync(file, "of the last time\n", Cancel);

        Assert.Equal((0, "", ""), await RunAsync([s_program, "metrics", "--textfile", file]));
        Assert.Equal(await PrintedAsync(), await File.ReadAllTextAsync(file, Cancel));
        Assert.Equal([file], Directory.GetFiles(Path.GetDirectoryName(file)!));

        await StopAgentAsync();
        (int exitCode, string output, string errors) = await RunAsync([s_program, "metrics", "--textfile", file]);
        Assert.Equal((3, ""), (exitCode, output));
        Assert.Contains("systemctl start virttier", errors, StringComparison.Ordinal);
        Assert.Contains("\nvirttier_up 0\n", await File.ReadAllTextAsync(file, Cancel), StringComparison.Ordinal);
        Assert.Equal([file], Directory.GetFiles(Path.GetDirectoryName(file)!));
    }

    [Fact]
    public async Task A_text_file_that_cannot_be_written_is_named()
    {
        string file = Path.Combine(Folder, "no-such-folder", "virttier.prom");

        (int exitCode, _, string errors) = await RunAsync([s_program, "metrics", "--textfile", file]);

        Assert.Equal(2, exitCode);
        Assert.StartsWith($"virttier: --textfile: {file} cannot be written: ", errors, StringComparison.Ordinal);
    }

    private async Task<string> PrintedAsync()
    {
        (int exitCode, string output, string errors) = await RunAsync([s_program, "metrics"]);
        Assert.True(exitCode == 0, errors);
        return output;
    }
}
