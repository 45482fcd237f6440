// SPDX-License-Identifier: Apache-2.0
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace VirtTier.Agent.Tests;

/// <summary>Whatever a domain is called, and whatever an error says, a line of the log is one line, short, and shows what is
/// in it.</summary>
public sealed class LogLineTests
{
    [Theory]
    [InlineData("web1", "<4>virttier[12] web1: its cpuset\n")]
    [InlineData("a\u001b[2J\nb\u202e\u0085", "<4>virttier[12] a\\u001b[2J\\u000ab\\u202e\\u0085: its cpuset\n")]
    public void A_name_is_shown_as_it_is(string name, string line) =>
        Assert.Equal(line, Write(LogLevel.Warning, $"{name}: its cpuset", null));

    [Fact]
    public void A_megabyte_is_cut_and_an_exception_keeps_its_stack_in_the_same_line()
    {
        string line = Write(LogLevel.Error, new string('x', 1 << 20), null);
        Assert.InRange(line.Length, 1000, 1050);
        Assert.EndsWith("x...\n", line, StringComparison.Ordinal);

        line = Write(LogLevel.Error, "failed", Thrown("of\nthem\u001b"));
        Assert.StartsWith("<3>virttier[12] failed System.InvalidOperationException: of them\\u001b at VirtTier.", line,
            StringComparison.Ordinal);
        Assert.Equal(line.Length - 1, line.IndexOf('\n', StringComparison.Ordinal));
        Assert.InRange(Write(LogLevel.Error, "failed", Thrown(new string('x', 1 << 20))).Length, 8000, 8100);
    }

    private static InvalidOperationException Thrown(string message)
    {
        try
        {
            throw new InvalidOperationException(message);
        }
        catch (InvalidOperationException e)
        {
            return e;
        }
    }

    private static string Write(LogLevel level, string message, Exception? exception)
    {
        StringWriter writer = new();
        new LogLine().Write(new LogEntry<string>(level, "virttier", 12, message, exception, (text, _) => text), null, writer);
        return writer.ToString();
    }
}
