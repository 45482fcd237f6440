// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Net.Sockets;

namespace VirtTier.Agent.Tests.Host;

/// <summary><see cref="AgentOnBus"/>, and its exporter on a port of its own, started as its units have it.</summary>
public abstract class ExporterOnBus : AgentOnBus
{
    private Daemon? _exporter;

    private protected static string Program { get; } = Path.Combine(AppContext.BaseDirectory, "virttier");

    private protected static CancellationToken Cancel => TestContext.Current.CancellationToken;

    /// <summary>What asks the exporter.</summary>
    private protected HttpClient Scraper { get; } = new();

    /// <summary>The exporter's port.</summary>
    private protected int Port { get; private set; }

    /// <summary>What the exporter says to the log.</summary>
    private protected string Log => Path.Combine(Folder, "scrapes.log");

    public override async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        _exporter?.Dispose();
        Scraper.Dispose();
        await base.DisposeAsync();
    }

    /// <summary>Starts it.</summary>
    /// <param name="bus">Where it finds the agent; this bus if null.</param>
    private protected async Task<Daemon> StartExporterAsync(string? bus = null)
    {
        HostRing.RequirePrograms("systemd-socket-activate");
        Port = FreePort();
        Scraper.BaseAddress = new Uri($"http://127.0.0.1:{Port}/");
        _exporter = Daemon.Start(
            Log, new Dictionary<string, string> { ["DBUS_SYSTEM_BUS_ADDRESS"] = bus ?? Address },
            "systemd-socket-activate", "--listen", $"127.0.0.1:{Port}",
            "--setenv=DBUS_SYSTEM_BUS_ADDRESS", "--setenv=DOTNET_ROOT", Program, "metrics", "--serve");
        await Eventually.IsTrue(
            () => File.Exists(Log) && File.ReadAllText(Log).Contains("Listening on", StringComparison.Ordinal),
            () => "systemd-socket-activate does not listen");
        // The first scrape starts and compiles it, which on a busy machine may take longer than the agent has to answer.
        await ScrapeAsync();
        return _exporter;
    }

    /// <summary>The page as Prometheus gets it.</summary>
    private protected Task<string> ScrapeAsync() => Scraper.GetStringAsync(new Uri("metrics", UriKind.Relative), Cancel);

    /// <summary>A port that nobody listens on.</summary>
    private protected static int FreePort()
    {
        using TcpListener free = new(IPAddress.Loopback, 0);
        free.Start();
        return ((IPEndPoint)free.LocalEndpoint).Port;
    }
}
