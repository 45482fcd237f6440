// SPDX-License-Identifier: Apache-2.0
using System.Text;

namespace VirtTier.Memory.Tests.Fakes;

/// <summary>Damages texts as bugs, versions and broken disks do.</summary>
internal static class Mutation
{
    private static readonly string[] s_junk =
    [
        "-1", "99999999999999999999", "2147483648", "0-4294967295", "-", ",,", "\0\0\0", "NaN", "Infinity", "1e9", "0x10",
        "\u00e9\u4e2d", " ", "\n", ":", "=", "bind:", "0-0",
    ];

    /// <summary>A text, a little different.</summary>
    public static string Of(Random random, string text)
    {
        StringBuilder changed = new(text);
        for (int i = 0; i <= random.Next(3); i++)
        {
            int at = random.Next(changed.Length + 1);
            switch (random.Next(5))
            {
                case 0:
                    changed.Insert(at, s_junk[random.Next(s_junk.Length)]);
                    break;
                case 1:
                    changed.Length = at;
                    break;
                case 2:
                    changed.Remove(at, Math.Min(changed.Length - at, random.Next(8)));
                    break;
                case 3 when at < changed.Length:
                    changed[at] = (char)random.Next(128);
                    break;
                default:
                    changed.Insert(at, changed.ToString(at, Math.Min(changed.Length - at, random.Next(40))));
                    break;
            }
        }
        return changed.ToString();
    }

    /// <summary>Damages a file, or takes it away.</summary>
    public static void Damage(Random random, string file)
    {
        if (!File.Exists(file))
            return;
        if (random.Next(6) == 0)
            File.Delete(file);
        else
            File.WriteAllText(file, Of(random, File.ReadAllText(file)));
    }
}
