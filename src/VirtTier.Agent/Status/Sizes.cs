// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Agent.Status;

/// <summary>How sizes are shown to people: bytes with a binary unit, three digits or fewer before the point.</summary>
internal static class Sizes
{
    private static readonly string[] s_units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

    /// <summary>Such as <c>96 MiB</c> or <c>1.5 GiB</c>; one decimal place, left out when it is zero.</summary>
    public static string Show(long bytes)
    {
        double value = bytes;
        int unit = 0;
        while (Math.Abs(value) >= 1024 && unit < s_units.Length - 1)
        {
            value /= 1024;
            unit++;
        }
        return string.Create(CultureInfo.InvariantCulture, $"{value:0.#} {s_units[unit]}");
    }
}
