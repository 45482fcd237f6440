// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Testbed;

/// <summary>What a <see cref="LinuxGuest"/> has told on its console so far.</summary>
/// <param name="HotFrames">The guest frames of its hot pages; null until it has told them all.</param>
/// <param name="Passes">Passes over the hot pages at its last heartbeat.</param>
/// <param name="DamagedPages">Times that a page was not what it must be: always 0 unless memory was damaged.</param>
public sealed record LinuxGuestLog(IReadOnlySet<int>? HotFrames, long Passes, int DamagedPages)
{
    /// <summary>Reads the console's text; lines of the kernel and a last line that is not whole yet are passed over.</summary>
    /// <exception cref="FormatException">A line of the guest's program is not what it writes.</exception>
    public static LinuxGuestLog Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var frames = new HashSet<int>();
        bool complete = false;
        long passes = 0;
        int damaged = 0;
        int end = text.LastIndexOf('\n');
        foreach (string line in text[..(end + 1)].Split('\n', StringSplitOptions.TrimEntries))
        {
            switch (line.Split(' '))
            {
                case ["hot", string range]:
                    AddRange(frames, range, line);
                    break;
                case ["hot-end", string count]:
                    complete = true;
                    if (frames.Count != Number(count, line))
                        throw new FormatException($"linux guest log: {frames.Count} hot frames were told before '{line}'");
                    break;
                case ["alive", string count]:
                    passes = Number(count, line);
                    break;
                case ["damaged", _]:
                    damaged++;
                    break;
            }
        }
        return new LinuxGuestLog(complete ? frames : null, passes, damaged);
    }

    private static void AddRange(HashSet<int> frames, string range, string line)
    {
        string[] ends = range.Split('-');
        if (ends.Length != 2)
            throw new FormatException($"linux guest log: '{line}' has no range FIRST-LAST");
        int last = Number(ends[1], line);
        for (int frame = Number(ends[0], line); frame <= last; frame++)
            frames.Add(frame);
    }

    private static int Number(string text, string line) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value)
            ? value
            : throw new FormatException($"linux guest log: '{text}' in '{line}' is not a number");
}
