// SPDX-License-Identifier: Apache-2.0
using System.Globalization;

namespace VirtTier.Primitives;

/// <summary>The lowest and the highest that a number may be which somebody gives.</summary>
/// <param name="Lowest">The lowest that is allowed.</param>
/// <param name="Highest">The highest that is allowed.</param>
/// <param name="Unit">What both are numbers of.</param>
public sealed record Limit(decimal Lowest, decimal Highest, LimitUnit Unit = LimitUnit.None)
{
    /// <summary>Whether a number is within.</summary>
    public bool Allows(decimal number) => number >= Lowest && number <= Highest;

    /// <summary>Both ends, as messages and documents have them: <c>10ms to 60s</c>.</summary>
    public override string ToString() => $"{Show(Lowest)} to {Show(Highest)}";

    private string Show(decimal number) => Unit switch
    {
        LimitUnit.Percent => Plain(number) + "%",
        LimitUnit.Seconds => number < 1 ? Plain(number * 1000) + "ms" : Plain(number) + "s",
        LimitUnit.Bytes => BinaryUnits.Format((ulong)number),
        LimitUnit.BytesPerSecond => BinaryUnits.Format((ulong)number) + "/s",
        _ => Plain(number),
    };

    private static string Plain(decimal number) => number.ToString("0.####", CultureInfo.InvariantCulture);
}

/// <summary>What a <see cref="Limit"/> is of.</summary>
public enum LimitUnit
{
    /// <summary>A number by itself.</summary>
    None,

    /// <summary>Hundredths of something.</summary>
    Percent,

    /// <summary>A time.</summary>
    Seconds,

    /// <summary>A size.</summary>
    Bytes,

    /// <summary>An amount of traffic.</summary>
    BytesPerSecond,
}
