// SPDX-License-Identifier: Apache-2.0
using System.Text.Json;

namespace VirtTier.Agent.Tests.Host;

/// <summary>All that goes over a private host's bus, in its order.</summary>
internal sealed class BusLog : IDisposable
{
    private readonly string _file;
    private readonly Daemon _monitor;

    private BusLog(string file, Daemon monitor)
    {
        _file = file;
        _monitor = monitor;
    }

    internal static async Task<BusLog> StartAsync(PrivateHost host)
    {
        string file = await host.WriteFileAsync("messages", "");
        BusLog log = new(file, host.StartInside("busctl", "sh", "-c", $"exec busctl --json=short monitor >{file}"));
        string said = Path.Combine(Path.GetDirectoryName(file)!, "busctl.log");
        await Eventually.IsTrue(
            () => File.Exists(said) && File.ReadAllText(said).Contains("Monitoring", StringComparison.Ordinal),
            () => "busctl does not monitor the bus");
        return log;
    }

    internal IReadOnlyList<Message> Read()
    {
        List<Message> messages = [];
        using StreamReader reader = new(new FileStream(_file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        string[] lines = reader.ReadToEnd().Split('\n');
        foreach (string line in lines[..^1]) // the last one may not be whole yet
        {
            using JsonDocument json = JsonDocument.Parse(line);
            JsonElement root = json.RootElement;
            string? Text(string name) => root.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;
            ulong? Number(string name) => root.TryGetProperty(name, out JsonElement value) ? value.GetUInt64() : null;
            messages.Add(new Message(
                messages.Count, Text("type")!, Text("sender"), Text("destination"), Text("member"), Number("cookie"),
                Number("reply_cookie")));
        }
        return messages;
    }

    internal async Task<IReadOnlyList<Message>> UntilAsync(Func<IReadOnlyList<Message>, bool> condition, string what)
    {
        IReadOnlyList<Message> messages = [];
        await Eventually.IsTrue(() => condition(messages = Read()),
            () => $"{what} does not show in\n{string.Join('\n', messages)}");
        return messages;
    }

    public void Dispose() => _monitor.Dispose();

    /// <param name="Number">Its place in the log.</param>
    /// <param name="Type">method_call, method_return, error or signal.</param>
    /// <param name="Sender">The sender's unique name.</param>
    /// <param name="Destination">The name that it is sent to.</param>
    /// <param name="Member">The method's or signal's name.</param>
    /// <param name="Cookie">The sender's number of the message.</param>
    /// <param name="ReplyTo">The number of the call that it answers.</param>
    internal sealed record Message(
        int Number, string Type, string? Sender, string? Destination, string? Member, ulong? Cookie, ulong? ReplyTo)
    {
        /// <summary>Whether this is the call that a message answers.</summary>
        internal bool IsCallOf(Message answer) =>
            Type == "method_call" && Sender == answer.Destination && Cookie == answer.ReplyTo;
    }
}
