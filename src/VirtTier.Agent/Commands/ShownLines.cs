// SPDX-License-Identifier: Apache-2.0
using System.Text;
using VirtTier.Primitives;

namespace VirtTier.Agent.Commands;

/// <summary>
/// Standard error of the program: what others wrote, and what was typed, comes into its messages from many places, the parser of
/// the command line among them. A line is short, and shows what a terminal would obey.
/// </summary>
/// <param name="output">Gets the lines.</param>
internal sealed class ShownLines(TextWriter output) : TextWriter
{
    // As much of a line as is looked at.
    private const int Longest = 4096;

    private readonly StringBuilder _line = new();

    public override Encoding Encoding => output.Encoding;

    public override void Write(char value)
    {
        if (value == '\n')
            EndLine();
        else if (value != '\r' && _line.Length < Longest)
            _line.Append(value);
    }

    public override void Flush() => output.Flush();

    protected override void Dispose(bool disposing)
    {
        if (disposing && _line.Length > 0)
            EndLine();
        base.Dispose(disposing);
    }

    private void EndLine()
    {
        string line = Shorten.Line(_line.ToString());
        _line.Clear();
        output.WriteLine(line);
        output.Flush();
    }
}
