// SPDX-License-Identifier: Apache-2.0
using VirtTier.Agent.Commands;

namespace VirtTier.Agent.Tests;

public sealed class ShownLinesTests
{
    [Fact]
    public void Lines_are_short_and_show_what_a_terminal_would_obey()
    {
        using StringWriter shown = new() { NewLine = "\n" };
        using (ShownLines lines = new(shown))
        {
            lines.Write("a\u001b[2Jb\u0007\r\nc\n\n");
            lines.WriteLine(new string('x', 1 << 20));
            lines.Write("the end");
        }
        Assert.Equal("a\\u001b[2Jb\\u0007\nc\n\n" + new string('x', 1000) + "...\nthe end\n", shown.ToString());
    }
}
