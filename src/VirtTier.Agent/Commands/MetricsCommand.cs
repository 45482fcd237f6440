// SPDX-License-Identifier: Apache-2.0
using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using VirtTier.Agent.Metrics;
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary><c>virttier metrics</c>: the agent's figures for Prometheus.</summary>
internal static class MetricsCommand
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    // All is answered from memory. Prometheus gives a scrape ten seconds, and some give it five.
    private static readonly TimeSpan s_scrapePatience = TimeSpan.FromSeconds(3);

    public static Command Create()
    {
        Option<FileInfo> textFile = new("--textfile")
        {
            Description = "Write to this file, for node_exporter's textfile collector; it is replaced as a whole",
            HelpName = "FILE",
        };
        Option<bool> serve = new("--serve")
        {
            Description = "Answer scrapes on the sockets that systemd hands over, as virttier-exporter.socket has it",
        };
        Option<string> listen = new("--listen")
        {
            HelpName = "ADDRESS:PORT",
            Description = "Answer scrapes there, where there is no systemd, as in a container: [::]:9755",
        };
        Command command = new("metrics", "Print the agent's figures in Prometheus' text format") { textFile, serve, listen };
        command.Validators.Add(result =>
        {
            string[] given = [.. new Option[] { serve, listen, textFile }
                .Where(option => result.GetResult(option) is { Implicit: false }).Select(option => option.Name)];
            if (given.Length > 1)
                result.AddError($"{given[0]} and {given[1]} exclude each other");
            if (result.GetValue(listen) is { } address && Place(address) is null)
                result.AddError($"--listen '{Shorten.ForMessage(address)}' is no address and port, such as 127.0.0.1:9755");
        });
        command.SetAction((result, cancel) => (result.GetValue(serve), result.GetValue(listen)) switch
        {
            (true, _) => ServeAsync("--serve", InheritedSockets.Take, cancel),
            (_, { } address) => ServeAsync("--listen", () => Listen(Place(address)!), cancel),
            _ => RunAsync(result.GetValue(textFile), cancel),
        });
        return command;
    }

    /// <summary>What <c>--listen</c> names; null where a part is missing, also of the port, which is then 0.</summary>
    internal static IPEndPoint? Place(string text) =>
        IPEndPoint.TryParse(text, out IPEndPoint? place) && place.Port > 0 ? place : null;

    /// <summary>A socket that listens there; at <c>[::]</c> also for IPv4.</summary>
    /// <exception cref="ActivationException">It cannot.</exception>
    internal static IReadOnlyList<Socket> Listen(IPEndPoint place)
    {
        if (place.Address.Equals(IPAddress.IPv6Any) && !Socket.OSSupportsIPv6)
            place = new(IPAddress.Any, place.Port);
        Socket? socket = null;
        try
        {
            socket = new(place.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            if (place.AddressFamily == AddressFamily.InterNetworkV6)
                socket.DualMode = true;
            socket.Bind(place);
            socket.Listen();
            return [socket];
        }
        catch (SocketException e)
        {
            socket?.Dispose();
            throw new ActivationException($"{place} cannot be listened at: {e.Message}");
        }
    }

    private static async Task<int> RunAsync(FileInfo? textFile, CancellationToken cancel)
    {
        (byte[] page, bool answered) = await new MetricsSource(Console.Error, s_patience).ReadAsync(cancel);
        if (textFile is null)
        {
            await using Stream output = Console.OpenStandardOutput();
            await output.WriteAsync(page, cancel);
        }
        else if (!await ReplaceAsync(textFile, page, cancel))
        {
            return ExitCode.BadInput;
        }
        return answered ? ExitCode.Success : ExitCode.NoAgent;
    }

    private static async Task<int> ServeAsync(
        string option, Func<IReadOnlyList<Socket>> sockets, CancellationToken cancel)
    {
        try
        {
            ScrapeServer server = new(new MetricsSource(Console.Error, s_scrapePatience).PageAsync, ScrapeLimits.Usual);
            await server.RunAsync(sockets(), cancel);
            return ExitCode.Success;
        }
        catch (ActivationException e)
        {
            await Console.Error.WriteLineAsync($"virttier: {option}: {e.Message}");
            return ExitCode.BadInput;
        }
    }

    private static async Task<bool> ReplaceAsync(FileInfo file, byte[] page, CancellationToken cancel)
    {
        // The collector reads files that end in .prom only.
        string work = file.FullName + ".new";
        try
        {
            await File.WriteAllBytesAsync(work, page, cancel);
            File.Move(work, file.FullName, overwrite: true);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"virttier: --textfile: {file.FullName} cannot be written: {e.Message}");
            return false;
        }
    }
}
