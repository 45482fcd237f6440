// SPDX-License-Identifier: Apache-2.0
using System.Buffers;

namespace VirtTier.Testbed;

/// <summary>What a <see cref="PayloadGuest"/> has reported so far on its debug console.</summary>
/// <param name="Starts">Times it began; more than one means that it was restarted.</param>
/// <param name="ColdPassDone">Whether all of its memory has been written.</param>
/// <param name="Heartbeats">Heartbeats so far.</param>
/// <param name="Shifts">Shifts of the hot set that it has obeyed.</param>
/// <param name="EvenlyHot">Whether it was told to touch all of its memory, and does.</param>
/// <param name="DamagedPages">Times that a page was not what it must be: always 0 unless memory was damaged.</param>
public sealed record PayloadLog(int Starts, bool ColdPassDone, int Heartbeats, int Shifts, bool EvenlyHot, int DamagedPages)
{
    private static readonly SearchValues<char> s_letters = SearchValues.Create("SChxeo!");

    /// <summary>Reads the log's text.</summary>
    /// <exception cref="FormatException">The text has a letter that the payload never writes.</exception>
    public static PayloadLog Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int unknown = text.AsSpan().IndexOfAnyExcept(s_letters);
        if (unknown >= 0)
            throw new FormatException($"payload log: character {(int)text[unknown]} at {unknown} is none of S C h x e o !");
        int Count(char letter) => text.AsSpan().Count(letter);
        return new PayloadLog(Count('S'), Count('C') > 0, Count('h'), Count('x'), Count('e') > 0, Count('!'));
    }
}
